select -ledger.balance_at('bank', $1) / 10000, -ledger.balance_at('bank', $2) / 10000
