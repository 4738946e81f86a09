-- Which of the keys are posted. The writer names one leaf in the place of ledger.gift, each that its filter does not rule out.
-- Key by key: `= any` is planned while the leaf is small, and would then read it whole for ever.
select g.key, g.seq, g.payer, g.item, g.quantity, g.room, g.price
from unnest($1::uuid[]) u (key)
cross join lateral (select x.* from ledger.gift x where x.key = u.key limit 1) g
