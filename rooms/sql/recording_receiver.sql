-- Nobody named: the room's singer where their voice is in it, else the first whose is.
select coalesce((select t.singer_id from rooms.recording_part t where t.recording_id = r.id and $2::bigint in (0, t.singer_id) order by t.singer_id <> p.singer_id, t.singer_id limit 1), 0), coalesce(o.channel_id, 0), p.id, not s.public_domain
from rooms.recording r join rooms.performance p on p.id = r.performance_id join songs.songbook s on s.id = p.song_id left join rooms.show h on h.id = p.show_id left join rooms.room o on o.id = h.room_id
where r.id = $1 and r.state = 'ready' and (select bool_and(consented_at is not null) from rooms.recording_part t where t.recording_id = r.id)
