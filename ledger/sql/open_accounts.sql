select ledger.open_accounts($1)
