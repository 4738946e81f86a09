update gifts.bump set decided = $3, route = case when $4 > 0 then $4 else route end where show_id = $1 and request_id = $2 and state = 'held' and decided is null
returning key, user_id, show_id, request_id, coins, decided, route
