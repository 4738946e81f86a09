select id from gifts.free_send where key = $1 and user_id = $2
