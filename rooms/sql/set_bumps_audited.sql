with old as (select id, bump_price_coins, bumps_per_show from rooms.room where id = $1 for update),
changed as (update rooms.room r set bump_price_coins = $2, bumps_per_show = $3 from old where r.id = old.id returning r.id, old.bump_price_coins as price, old.bumps_per_show as per_show)
select identity.add_audit($4, 'set_bumps', 'room:' || id, $5, jsonb_build_object('priceCoins', price, 'perShow', per_show), jsonb_build_object('priceCoins', $2::bigint, 'perShow', $3::int)) from changed
