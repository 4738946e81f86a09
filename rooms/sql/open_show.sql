insert into rooms.show as h (room_id) values ($1) on conflict (room_id) where ended_at is null do update set room_id = h.room_id returning id, (extract(epoch from opened_at) * 1000)::bigint
