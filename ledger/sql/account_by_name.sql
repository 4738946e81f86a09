select a.id, b.amount, b.version, a.kind, coalesce(a.owner_id, 0) from ledger.account a join ledger.standing b on b.account_id = a.id where a.name = $1
