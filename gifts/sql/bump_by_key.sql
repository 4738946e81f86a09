select user_id, room_id, request_id, coins, state, coalesce(decided, '') from gifts.bump where key = $1
