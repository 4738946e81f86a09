select id, pack_id, provider from payments.top_up where user_id = $1 and key = $2::uuid
