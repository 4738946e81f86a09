select ledger.catch_up($1)
