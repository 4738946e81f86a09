update rooms.room set bump_price_coins = $2, bumps_per_show = $3 where id = $1
