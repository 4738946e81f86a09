-- The epoch and where the head stands, or null while another server holds it: who, and how far the books are.
select t.epoch, h.seq, coalesce(o.holder, ''), o.seq
from ledger.head o, (select ledger.take_head($1) as epoch) t, lateral (select ledger.head_seq_after(t.epoch) as seq) h
