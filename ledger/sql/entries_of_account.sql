-- Up to an entry, and what was dated back to a day later ($5 null: nothing).
select e.seq, e.kind, e.key, (extract(epoch from e.at) * 1000)::bigint, l.account, a.name, l.amount, coalesce(e.detail->>'effective', ''), coalesce(e.detail->>'case', '')
from (select * from ledger.entry where accounts @> array[$1::bigint] and seq < $2 and (seq <= $4 or detail ? 'effective' and (detail->>'effective')::date <= $5::date) order by seq desc limit $3) e
cross join lateral unnest(e.accounts, e.amounts) with ordinality as l (account, amount, leg) join ledger.account a on a.id = l.account
order by e.seq desc, l.leg
