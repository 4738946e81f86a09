insert into channels.channel (agent_id, name, theme, preset) values ($1, $2, $3, $4) on conflict (name) do nothing returning id
