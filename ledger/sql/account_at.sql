-- Where the books stood at a moment, what has moved on the account since, and the moment's day.
with b as (select ledger.seq_before(timestamptz 'epoch' + ($2::bigint + 1) * interval '1 millisecond') as seq, ((timestamptz 'epoch' + $2::bigint * interval '1 millisecond') at time zone $3)::date as day)
select b.seq, m.amount, m.n, b.day, ledger.dated_back($1, b.seq, b.day) from b cross join lateral ledger.moved_since($1, b.seq) m
