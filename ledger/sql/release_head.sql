select ledger.release_head($1)
