select ledger.open_wallet($1)
