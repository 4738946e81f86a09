select g.seq, g.payer, u.display_name, g.item, g.quantity, g.price, t.singer_user, g.performance, (extract(epoch from g.at) * 1000)::bigint
from ledger.gift g join identity.users u on u.id = g.payer join ledger.route t on t.id = g.route
where g.room = $1 and g.seq > $2 and g.at > now() - interval '10 minutes' order by g.seq limit $3
