select account, opening, debits, credits, closing from ledger.moved_between($1, $2) order by 1
