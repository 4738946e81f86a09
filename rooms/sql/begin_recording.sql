insert into rooms.recording (performance_id, token, effect) values ($1, $2, $3) on conflict (performance_id) do nothing
