update payments.step set entry_seq = $2 where id = $1 and entry_seq is null
