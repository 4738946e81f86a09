select s.id, s.kind, s.key, s.reference, s.detail::text, s.state, l.account, l.amount
from payments.step s left join lateral unnest(s.accounts, s.amounts) with ordinality l (account, amount, i) on true
where s.id = (select min(o.id) from payments.step o where o.subject = $1 and o.subject_id = $2 and o.kind is not null and o.entry_seq is null)
order by l.i
