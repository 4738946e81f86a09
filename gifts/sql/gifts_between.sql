select g.seq, g.payer, u.display_name, v.gift_id, g.quantity, g.price / 10000, t.singer_user, g.performance, (extract(epoch from g.at) * 1000)::bigint, g.room
from ledger.given g join identity.person u on u.id = g.payer join ledger.parties t on t.id = g.route left join gifts.gift_version v on v.id = g.item
where g.seq > $1 and g.seq <= $2 and g.at > now() - interval '10 minutes' order by g.seq
