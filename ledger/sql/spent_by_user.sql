select user_id, day - date '1970-01-01', spent from ledger.spent where spent <> 0
