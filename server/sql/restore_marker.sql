select b.seq from ledger.booked b where b.key = 'restore:' || $1::text || ':1'
