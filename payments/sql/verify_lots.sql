-- Of who had a case about a top-up: the open lots are what is in the wallet, none below nothing.
select count(*) filter (where bad), count(*), min(name) filter (where bad)
from (
  select 'user:' || u.user_id as name, l.least < 0 or l.rest <> ledger.standing_of('wallet:' || u.user_id) as bad
  from (select distinct c.user_id from payments.money_case c where c.order_id is not null) u
  cross join lateral (select coalesce(sum(o.rest), 0) as rest, coalesce(min(o.rest), 0) as least from ledger.lots(u.user_id) o) l
) x
