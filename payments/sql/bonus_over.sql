select id from payments.bonus where not over and expires_at <= now() order by user_id, id limit 500
