select key, user_id, show_id, request_id, coins, decided, route from gifts.bump where key = $1 and state = 'held' and decided is not null
