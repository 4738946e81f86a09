with old as (select id, user_id = $2 and gift_id = $3 and room_id = $4 as same from gifts.free_send where key = $1),
spent as (update gifts.free_gift set used = used + 1 where user_id = $2 and day = (now() at time zone $6)::date and used < earned and not exists (select from old) returning earned - used as rest),
sent as (insert into gifts.free_send (key, user_id, gift_id, room_id, singer_id) select $1, $2, $3, $4, $5 from spent returning id)
select (select id from sent), (select rest from spent), (select id from old), (select same from old)
