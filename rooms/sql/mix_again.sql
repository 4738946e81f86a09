update rooms.recording set state = 'mixing', effect = $2, problem = '' where id = $1 and state in ('ready', 'failed') returning id
