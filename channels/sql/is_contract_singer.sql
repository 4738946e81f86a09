select 1 from channels.contract where id = $1 and singer_id = $2
