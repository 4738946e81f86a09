select g.seq, g.price, c.wallet, c.gift_only, c.bonus from ledger.given g join ledger.coins c on c.user_id = g.payer where g.key = $1::uuid and g.payer = $2
