update gifts.bump set performance_id = $3, route = $4 where show_id = $1 and request_id = $2 and state = 'held' and decided is null
