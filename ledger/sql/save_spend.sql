select ledger.save_spend($1, $2, $3, $4)
