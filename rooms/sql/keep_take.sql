insert into rooms.take (performance_id, singer_id, rules, level, song_hash, voice, offset_ms, points, normal_points, golden_points, line_points, sung_ms, flags, lines, track)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
on conflict (performance_id, singer_id, rules) do update set level = excluded.level, voice = excluded.voice, offset_ms = excluded.offset_ms, points = excluded.points, normal_points = excluded.normal_points,
  golden_points = excluded.golden_points, line_points = excluded.line_points, sung_ms = excluded.sung_ms, flags = excluded.flags, lines = excluded.lines, track = excluded.track, made_at = now()
