select count(*) filter (where whole_coins and amount % 10000 <> 0), count(*) filter (where whole_coins), min(account_id) filter (where whole_coins and amount % 10000 <> 0)::text from ledger.standings
