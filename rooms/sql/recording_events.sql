-- Where each event is heard in the mix: in the piece of its media time; what was left out of the mix is left out here.
select (q.at + l.media_time - m.media_time)::bigint, l.song_position, l.kind, l.user_id, coalesce(l.entry_seq, 0), l.body::text
from rooms.recording r join rooms.timeline l on l.performance_id = r.performance_id
cross join lateral jsonb_to_recordset(r.pieces) as q (at bigint, length bigint, "mediaTime" bigint, position bigint)
cross join lateral (select q."mediaTime" as media_time) m
where r.id = $1 and l.media_time >= m.media_time and l.media_time < m.media_time + q.length order by 1, l.id limit $2
