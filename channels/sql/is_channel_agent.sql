select 1 from channels.channel where id = $1 and agent_id = $2
