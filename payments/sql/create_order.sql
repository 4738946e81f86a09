insert into payments.top_up (user_id, key, pack_id, provider, coins, price_minor)
select $1, $2::uuid, p.id, $4, p.coins, p.price_minor from payments.coin_pack p where p.id = $3 and p.active
on conflict (user_id, key) do nothing
