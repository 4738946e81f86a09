select user_id, kind, (extract(epoch from until) * 1000)::bigint from rooms.restraint where room_id = $1 and until > now()
