select ledger.all_saved($1)
