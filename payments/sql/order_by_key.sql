select id, pack_id from payments.top_up where user_id = $1 and key = $2::uuid
