update rooms.recording set state = 'mixing', effect = $2 where performance_id = $1 and state = 'recording' returning id
