select id, floored, whole_coins, case when kind = 'wallet' then coalesce(owner_id, 0) else 0 end from ledger.account where id = any ($1::bigint[])
