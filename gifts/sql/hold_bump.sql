update gifts.bump set state = 'held', hold_seq = $2 where key = $1 and state = 'intended' returning key
