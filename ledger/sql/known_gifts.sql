-- Which of the keys are posted: looked for in every leaf that they may be in (ledger.post_gifts says why a day).
select g.key, g.seq, g.payer, g.item, g.quantity, g.room, g.price
from unnest($1::uuid[]) u (key)
cross join lateral (select x.* from ledger.gift x where x.key = u.key and x.seq >= $2 limit 1) g
