update rooms.performance set song_position = $2, ended_at = case when $3 then coalesce(ended_at, now()) else ended_at end where id = $1
