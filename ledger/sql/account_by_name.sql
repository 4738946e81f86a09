select a.id, b.amount, b.version from ledger.account a join ledger.balance b on b.account_id = a.id where a.name = $1
