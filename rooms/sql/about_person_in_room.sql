select u.display_name, exists (select from rooms.room r join channels.channel c on c.id = r.channel_id where r.id = $1 and u.id in (r.singer_id, c.agent_id)) from identity.users u where u.id = $2
