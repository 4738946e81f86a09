select user_id from payments.top_up where id = $1
