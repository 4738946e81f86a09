select ledger.tend_leaves()
