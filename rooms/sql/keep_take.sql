-- The first time that a take is kept it counts as a play of its song, when 30 s of it were sung.
with kept as (
  insert into rooms.take (performance_id, singer_id, rules, level, song_hash, voice, offset_ms, points, normal_points, golden_points, line_points, sung_ms, flags, lines, track)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
  on conflict (performance_id, singer_id, rules) do update set level = excluded.level, voice = excluded.voice, offset_ms = excluded.offset_ms, points = excluded.points, normal_points = excluded.normal_points,
    golden_points = excluded.golden_points, line_points = excluded.line_points, sung_ms = excluded.sung_ms, flags = excluded.flags, lines = excluded.lines, track = excluded.track, made_at = now()
  returning performance_id, rules, sung_ms, xmax = 0 as first
)
select songs.add_play(p.song_id) from kept k join rooms.performance p on p.id = k.performance_id where k.first and k.rules = 'ovation-1' and k.sung_ms >= 30000
