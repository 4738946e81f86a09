select t.singer_user, u.display_name, count(*), (sum(g.price) / 10000)::bigint, sum(g.agent)::bigint, sum(g.singer)::bigint
from ledger.parties t join ledger.given g on g.route = t.id join identity.person u on u.id = t.singer_user
where t.channel_id = $1 group by 1, 2 order by 4 desc limit 500
