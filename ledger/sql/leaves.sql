select name, first_seq, end_seq, coalesce((extract(epoch from closed_at) * 1000)::bigint, 0) from ledger.gift_leaf order by first_seq
