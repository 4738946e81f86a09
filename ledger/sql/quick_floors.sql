select count(*) filter (where floored and amount < 0), count(*), min(account_id) filter (where floored and amount < 0)::text from ledger.standings
