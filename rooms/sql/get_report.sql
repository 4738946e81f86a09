select r.id, r.room_id, o.name, r.user_id, u.display_name, u.subject, r.by_user, b.display_name, r.text, (extract(epoch from r.at) * 1000)::bigint, coalesce((extract(epoch from r.closed_at) * 1000)::bigint, 0)
from rooms.report r join rooms.room o on o.id = r.room_id join identity.person u on u.id = r.user_id join identity.person b on b.id = r.by_user where r.id = $1
