select count(*) filter (where b.amount is distinct from coalesce(p.amount, 0) or b.version is distinct from coalesce(p.n, 0)), count(*),
  min(a.name) filter (where b.amount is distinct from coalesce(p.amount, 0) or b.version is distinct from coalesce(p.n, 0))
from ledger.account a left join ledger.standings b on b.account_id = a.id
left join (select account, sum(amount)::bigint as amount, count(*) as n from ledger.posting group by account) p on p.account = a.id
