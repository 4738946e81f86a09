select account, amount, n from ledger.unsaved
