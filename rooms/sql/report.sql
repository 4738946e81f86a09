insert into rooms.report (room_id, user_id, by_user, text) values ($1, $2, $3, $4) returning id
