-- Captures by a route, a page of them: what each account of the route got beside what it had to get.
select e.seq, e.price, t.vat_account, t.rights_account, t.singer_account, t.agent_account, t.venue_account, t.platform_account, t.promo_account,
  x.gross, x.vat_bp, x.rights_bp, x.singer_bp, x.agent_bp, x.venue_bp, x.platform_bp, x.bonus_singer_bp,
  got.vat, got.rights, got.singer, got.agent, got.venue, got.platform
from (
  select c.seq, c.accounts, c.amounts, (c.detail->>'route')::bigint as route, (select -sum(u.amount)::bigint from unnest(c.amounts) u (amount) where u.amount < 0) as price
  from ledger.entry c where c.kind = 'capture' and c.detail ? 'route' and c.seq > $1 order by c.seq limit $2
) e
left join ledger.route t on t.id = e.route left join ledger.split_rule x on x.id = t.rule_id
cross join lateral (
  select coalesce(sum(u.amount) filter (where u.account = t.vat_account), 0)::bigint as vat, coalesce(sum(u.amount) filter (where u.account = t.rights_account), 0)::bigint as rights,
    coalesce(sum(u.amount) filter (where u.account = t.singer_account), 0)::bigint as singer, coalesce(sum(u.amount) filter (where u.account = t.agent_account), 0)::bigint as agent,
    coalesce(sum(u.amount) filter (where u.account = t.venue_account), 0)::bigint as venue, coalesce(sum(u.amount) filter (where u.account = t.platform_account), 0)::bigint as platform
  from unnest(e.accounts, e.amounts) u (account, amount)
) got
order by e.seq
