select room_id from rooms.show where ended_at is null
