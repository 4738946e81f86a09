update rooms.recording set token = $2 where id = $1
