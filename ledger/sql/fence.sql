select ledger.fence($1)
