-- The room decides at once; what it could not decide is decided here, after a minute.
update gifts.bump b set decided = case when o.route > 0 and p.song_position >= $1 then 'capture' else 'release' end
from gifts.bump o left join rooms.show_end s on s.show_id = o.show_id and o.performance_id = 0 left join rooms.performance_end p on p.performance_id = o.performance_id
where b.key = o.key and b.state = 'held' and b.decided is null and coalesce(s.ended_at, p.ended_at) < now() - interval '1 minute'
returning b.key
