select track, voice, offset_ms, points, level, key from rooms.kept_take where performance_id = $1 and singer_id = $2 and rules = $3
