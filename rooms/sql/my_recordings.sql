select r.id, r.token, r.state, r.state = 'ready' and (select bool_and(consented_at is not null) from rooms.recording_part t where t.recording_id = r.id), p.song_id, s.title, s.artist, p.key, r.effect, r.duration_samples,
  (extract(epoch from r.made_at) * 1000)::bigint, r.loudness_lufs, coalesce(o.name, ''), r.problem,
  coalesce((select sum((body->>'coins')::bigint) from rooms.timeline l where l.performance_id = p.id and l.kind = 'gift'), 0)::bigint + coalesce((select g.coins from gifts.given_to_recording g where g.recording_id = r.id), 0)::bigint, r.pieces::text,
  (select jsonb_agg(jsonb_build_object('userId', t.singer_id, 'name', u.display_name, 'consents', t.consented_at is not null, 'voice', t.voice,
     'points', coalesce((select points from rooms.take k where k.performance_id = p.id and k.singer_id = t.singer_id and k.rules = 'ovation-1'), 0)) order by t.singer_id <> p.singer_id, t.singer_id)::text
   from rooms.recording_part t join identity.person u on u.id = t.singer_id where t.recording_id = r.id)
from rooms.recording r join rooms.performance p on p.id = r.performance_id join songs.songbook s on s.id = p.song_id left join rooms.show h on h.id = p.show_id left join rooms.room o on o.id = h.room_id
where r.state <> 'deleted' and r.id < $2 and exists (select from rooms.recording_part t where t.recording_id = r.id and t.singer_id = $1) order by r.id desc limit $3
