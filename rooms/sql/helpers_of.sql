select user_id from rooms.helper where room_id = $1
