-- A refusal is not an outcome, and an unknown outcome is asked again: the same key may go on.
insert into gifts.bump as b (key, user_id, room_id, show_id, request_id, coins) values ($1, $2, $3, $4, $5, $6)
on conflict (key) do update set state = 'intended', show_id = excluded.show_id, at = now()
  where b.state in ('intended', 'refused') and (b.user_id, b.room_id, b.request_id, b.coins) = (excluded.user_id, excluded.room_id, excluded.request_id, excluded.coins)
returning key
