select held_from from payments.payout where id = $1 and state = 'held'
