select count(*) filter (where d.spent is distinct from g.spent), count(*), min(coalesce(d.user_id, g.payer)) filter (where d.spent is distinct from g.spent)::text
from (select user_id, sum(spent) as spent from ledger.spent group by user_id) d
full join (
  select payer, sum(spent) as spent from (
    select payer, price as spent from ledger.gift
    union all
    select a.owner_id, -u.amount from ledger.entry e cross join lateral unnest(e.accounts, e.amounts) u (account, amount) join ledger.account a on a.id = u.account
    where e.kind in ('hold', 'release') and a.kind = 'wallet'
  ) s group by payer
) g on g.payer = d.user_id
