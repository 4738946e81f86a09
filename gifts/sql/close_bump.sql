update gifts.bump set state = case decided when 'capture' then 'captured' else 'released' end, close_seq = $2 where key = $1 and state = 'held'
