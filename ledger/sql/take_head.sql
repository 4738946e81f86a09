select ledger.take_head($1)
