select id, name from ledger.account
