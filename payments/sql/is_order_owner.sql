select 1 from payments.top_up where id = $1 and user_id = $2
