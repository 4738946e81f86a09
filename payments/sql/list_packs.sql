select id, coins, price_minor from payments.coin_pack where active order by coins
