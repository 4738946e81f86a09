select ledger.index_leaf()
