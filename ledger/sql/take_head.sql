select t.epoch, h.seq from (select ledger.take_head($1) as epoch) t, lateral (select ledger.head_seq_after(t.epoch) as seq) h
