select t.track, t.voice, t.offset_ms, t.points, t.level, p.key from rooms.take t join rooms.performance p on p.id = t.performance_id where t.performance_id = $1 and t.singer_id = $2 and t.rules = $3
