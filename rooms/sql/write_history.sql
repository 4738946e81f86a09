insert into rooms.history (room_id, kind, user_id, name, reason, until) values ($1, $2, $3, $4, $5, now() + $6::int * interval '1 minute')
