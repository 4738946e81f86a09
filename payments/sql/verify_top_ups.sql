-- A paid order is one entry with its coins and its money, and every entry of a top-up is a paid order.
select count(*) filter (where bad), count(*), min(name) filter (where bad)
from (
  select 'order:' || coalesce(o.id::text, e.key) as name, o.id is null or (o.state = 'paid' and e.seq is null) or (e.seq is not null and (
      (o.state = 'paid' and o.entry_seq <> e.seq)
      or (select sum(u.amount) from unnest(e.accounts, e.amounts) u (account, amount) where u.account = 'wallet:' || o.user_id) is distinct from o.coins * 10000
      or (select sum(u.amount) from unnest(e.accounts, e.amounts) u (account, amount)
          where u.account = case when o.provider = 'bank_transfer' then 'bank' else 'cash:' || o.provider end) is distinct from -o.price_minor * 10000)) as bad
  from (select t.* from payments.top_up t where t.state = 'paid' or exists (select from ledger.written b where b.key = 'topup:' || t.id)) o
  full join (select n.* from ledger.written n where n.kind = 'topup' and n.key ~ '^topup:[0-9]+$') e on e.key = 'topup:' || o.id
) x
