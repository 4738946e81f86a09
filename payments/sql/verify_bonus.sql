-- Of bonus coins there is what was granted less what was spent and what went back: no grant went back more than its coins, and each
-- one's steps say the same.
select count(*) filter (where bad), count(*), min(name) filter (where bad)
from (
  select 'bonus:' || b.id as name, s.granted is distinct from b.coins * 10000 or s.back is distinct from b.expired * 10000 or (b.expired > 0 and not b.over) as bad
  from payments.bonus b
  left join lateral (select coalesce(sum(u.amount) filter (where p.state = 'granted'), 0) as granted, -coalesce(sum(u.amount) filter (where p.state = 'expired'), 0) as back
    from payments.step p cross join lateral unnest(p.accounts, p.amounts) u (account, amount) where p.subject = 'bonus' and p.subject_id = b.id and u.account = 'bonus:' || b.user_id) s on true
) x
