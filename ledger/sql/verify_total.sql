select abs(coalesce(sum(amount), 0)), count(*), sum(amount)::text from ledger.standings
