select ledger.rebuild()
