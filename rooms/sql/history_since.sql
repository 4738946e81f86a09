select kind, user_id, name, reason, coalesce((extract(epoch from until) * 1000)::bigint, 0) from rooms.history where room_id = $1 and at > now() - interval '10 minutes' order by id limit 500
