select abs(h.seq - greatest(coalesce((select max(seq) from ledger.gift), 0), coalesce((select max(seq) from ledger.entry), 0))), h.seq, h.seq::text from ledger.head h
