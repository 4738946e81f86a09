-- A small batch. The writer names the hot leaf in the place of ledger.gift: going through the parent costs a third more.
insert into ledger.gift (seq, key, at, payer, route, item, room, performance, price, bonus, gift_only, vat, rights, singer, agent, venue, platform, promo, quantity)
select u.seq, u.key, timestamptz 'epoch' + $1::bigint * interval '1 microsecond', u.payer, u.route, u.item, u.room, u.performance, u.price, u.bonus, u.gift_only,
  u.vat, u.rights, u.singer, u.agent, u.venue, u.platform, u.promo, u.quantity
from unnest($2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
  $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::int[])
  u (seq, key, payer, route, item, room, performance, price, bonus, gift_only, vat, rights, singer, agent, venue, platform, promo, quantity)
