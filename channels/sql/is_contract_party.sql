select 1 from channels.contract k join channels.channel c on c.id = k.channel_id where k.id = $1 and $2 in (k.singer_id, c.agent_id)
