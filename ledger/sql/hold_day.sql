-- The day on which a hold was counted as spending: the hold is the one entry of that kind on the accounts from which the coins come back.
select (e.detail->>'day')::date - date '1970-01-01' from ledger.entry e
where e.kind = 'hold' and e.accounts @> (select array_agg(a.id) from ledger.account a where a.name = any ($1::text[])) order by e.seq limit 1
