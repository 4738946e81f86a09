update rooms.show set guest_id = nullif($2::bigint, 0), seat_locked = $3 where id = $1
