-- A held account: what came in once goes out once, whole.
select count(*) filter (where bad), count(*), min(name) filter (where bad)
from (
  select a.name, count(*) filter (where u.amount > 0) <> 1 or count(*) filter (where u.amount < 0) > 1
    or b.amount <> case when count(*) filter (where u.amount < 0) > 0 then 0 else coalesce(sum(u.amount), 0) end as bad
  from ledger.account a join ledger.standings b on b.account_id = a.id
  join ledger.entry e on e.accounts @> array[a.id] cross join lateral unnest(e.accounts, e.amounts) u (account, amount)
  where a.kind = 'held' and u.account = a.id
  group by a.id, a.name, b.amount
) h
