select count(*) filter (where d.spent is distinct from g.spent), count(*), min(coalesce(d.user_id, g.payer)) filter (where d.spent is distinct from g.spent)::text
from (select user_id, sum(spent) as spent from ledger.daily_spend group by user_id) d
full join (select payer, sum(price) as spent from ledger.gift group by payer) g on g.payer = d.user_id
