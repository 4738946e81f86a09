-- Head, highest number, how many are hashed, their root, lowest number, the time zone of days.
select h.seq, greatest(h.seq, coalesce((select max(seq) from ledger.gift), 0), coalesce((select max(seq) from ledger.entry), 0)), h.tree_seq, h.tree_root,
  least(1, coalesce((select min(seq) from ledger.gift), 1), coalesce((select min(seq) from ledger.entry), 1)), h.time_zone
from ledger.head h
