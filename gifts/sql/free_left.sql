select coalesce((select earned - used from gifts.free_gift where user_id = $1 and day = (now() at time zone $2)::date), 0)
