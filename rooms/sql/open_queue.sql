select coalesce(queue::text, '') from rooms.show where room_id = $1 and ended_at is null
