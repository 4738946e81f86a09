select c.id, c.name, c.theme, c.agent_id, a.display_name, c.preset from channels.channel c join identity.person a on a.id = c.agent_id where c.id = $1
