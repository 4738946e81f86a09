select r.id, r.performance_id, r.effect, s.title, s.artist, s.content_hash, p.key, t.singer_id, u.display_name, to_char(p.started_at, 'YYYY-MM-DD'),
  coalesce((select points::text from rooms.take k where k.performance_id = p.id and k.singer_id = p.singer_id and k.rules = 'ovation-1'), ''), s.public_domain, r.token
from rooms.recording r join rooms.performance p on p.id = r.performance_id join songs.songbook s on s.id = p.song_id join rooms.recording_part t on t.recording_id = r.id join identity.person u on u.id = t.singer_id
where r.id = $1 and r.state = 'mixing' order by t.singer_id <> p.singer_id, t.singer_id
