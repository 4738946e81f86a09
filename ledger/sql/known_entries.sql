-- Which of the keys are posted, a row for each leg.
select e.key, e.seq, e.kind, e.reference, a.name, l.amount
from unnest($1::text[]) u (key) join ledger.entry e on e.key = u.key
left join lateral unnest(e.accounts, e.amounts) with ordinality l (account, amount, leg) on true left join ledger.account a on a.id = l.account
order by e.seq, l.leg
