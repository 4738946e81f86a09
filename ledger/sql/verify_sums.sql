select count(*) filter (where total <> 0), count(*), min(seq) filter (where total <> 0)::text from (select seq, sum(amount) as total from ledger.posting group by seq) s
