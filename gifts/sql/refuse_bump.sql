update gifts.bump set state = 'refused' where key = $1 and state = 'intended'
