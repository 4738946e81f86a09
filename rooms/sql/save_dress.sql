update rooms.show set effect = $2, hide_score = $3 where id = $1
