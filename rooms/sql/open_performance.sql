select p.id, p.song_id, s.title, s.artist, s.public_domain, p.song_position, p.key,
  exists (select from rooms.recording r join rooms.recording_part t on t.recording_id = r.id where r.performance_id = p.id and r.state = 'recording' and t.singer_id = p.singer_id),
  exists (select from rooms.recording r join rooms.recording_part t on t.recording_id = r.id where r.performance_id = p.id and r.state = 'recording' and t.singer_id = h.guest_id),
  p.level, p.host_voice
from rooms.performance p join rooms.show h on h.id = p.show_id join songs.songbook s on s.id = p.song_id where h.room_id = $1 and h.ended_at is null and p.ended_at is null order by p.id desc limit 1
