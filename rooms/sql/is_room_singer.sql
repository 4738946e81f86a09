select 1 from rooms.room where id = $1 and singer_id = $2
