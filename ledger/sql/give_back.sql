select ledger.give_back($1, date '1970-01-01' + $2::int, $3, $4)
