select user_id, encode(salt, 'hex') from ledger.wallet where user_id = any ($1::bigint[])
