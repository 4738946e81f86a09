select track, voice, offset_ms, points from rooms.take where performance_id = $1 and singer_id = $2 and rules = $3
