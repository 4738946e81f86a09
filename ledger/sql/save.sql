select ledger.save($1, $2, $3, $4)
