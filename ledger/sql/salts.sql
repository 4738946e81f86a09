select user_id, encode(salt, 'hex'), wallet_account, gift_only_account, bonus_account from ledger.wallet where user_id = any ($1::bigint[])
