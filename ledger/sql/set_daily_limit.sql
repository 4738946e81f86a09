select ledger.set_daily_limit($1, $2)
