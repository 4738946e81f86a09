update payments.top_up set state = 'paid', entry_seq = $2, paid_at = now() where id = $1 and state <> 'paid'
