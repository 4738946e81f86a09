select a.id, b.amount, b.version, a.name, a.whole_coins from ledger.account a left join ledger.balance b on b.account_id = a.id where a.id >= $1 and a.id < $2
