select e.seq, e.kind, e.key, (extract(epoch from e.at) * 1000)::bigint, l.account, a.name, l.amount
from (select * from ledger.entry where accounts @> array[$1::bigint] and seq < $2 order by seq desc limit $3) e
cross join lateral unnest(e.accounts, e.amounts) with ordinality as l (account, amount, leg) join ledger.account a on a.id = l.account
order by e.seq desc, l.leg
