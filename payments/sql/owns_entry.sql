select 1 where ledger.is_of($1, $2)
