-- What somebody has, with the gifts that the rows do not have yet.
select bw.amount - u.paid, bg.amount - u.gift_only, bb.amount - u.bonus, coalesce(e.amount, 0),
  case when w.raised_from <= now() then w.raised_limit else w.daily_limit end, case when bw.spent_day = (now() at time zone $2)::date - date '1970-01-01' then bw.spent else 0 end + u.spent,
  case when w.raised_from > now() then w.raised_limit else 0 end, case when w.raised_from > now() then (extract(epoch from w.raised_from) * 1000)::bigint else 0 end
from ledger.wallet w
join ledger.balance bw on bw.account_id = w.wallet_account join ledger.balance bg on bg.account_id = w.gift_only_account join ledger.balance bb on bb.account_id = w.bonus_account
left join (select a.owner_id, s.amount from ledger.account a join ledger.standing s on s.account_id = a.id where a.kind = 'earnings') e on e.owner_id = w.user_id
cross join lateral (
  select coalesce(sum(g.price - g.bonus - g.gift_only) filter (where g.seq > bw.as_of_seq), 0) as paid, coalesce(sum(g.gift_only) filter (where g.seq > bg.as_of_seq), 0) as gift_only,
    coalesce(sum(g.bonus) filter (where g.seq > bb.as_of_seq), 0) as bonus,
    coalesce(sum(g.price) filter (where g.seq > bw.as_of_seq and (g.at at time zone $2)::date = (now() at time zone $2)::date), 0) as spent
  from ledger.gift g where g.payer = w.user_id and g.seq > (select checkpoint_seq from ledger.head)) u
where w.user_id = $1
