select bw.amount, bg.amount, bb.amount, coalesce(e.amount, 0),
  case when w.raised_from <= now() then w.raised_limit else w.daily_limit end, coalesce(d.spent, 0),
  case when w.raised_from > now() then w.raised_limit else 0 end, case when w.raised_from > now() then (extract(epoch from w.raised_from) * 1000)::bigint else 0 end
from ledger.wallet w
join ledger.balance bw on bw.account_id = w.wallet_account join ledger.balance bg on bg.account_id = w.gift_only_account join ledger.balance bb on bb.account_id = w.bonus_account
left join ledger.daily_spend d on d.user_id = w.user_id and d.day = (now() at time zone $2)::date
left join (select a.owner_id, b.amount from ledger.account a join ledger.balance b on b.account_id = a.id where a.kind = 'earnings') e on e.owner_id = w.user_id
where w.user_id = $1
