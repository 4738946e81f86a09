update rooms.recording_part set consented_at = case when $3 then coalesce(consented_at, now()) end where recording_id = $1 and singer_id = $2
