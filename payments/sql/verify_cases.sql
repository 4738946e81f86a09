-- A case stands where its last step left it, what it takes back of each spend adds up to its amount and to the parties' shares, and
-- was sent back where that was due.
select count(*) filter (where bad), count(*), min(name) filter (where bad)
from (
  -- A refund that found nothing left when it was booked has no step and no amount.
  select c.kind || ':' || c.id as name, (c.state is distinct from l.state and not (c.kind = 'unspent' and c.state = 'dismissed' and l.state is null and c.amount = 0))
    or (c.kind in ('chargeback', 'minor') and t.size <> c.amount - c.rest) or (c.kind = 'unspent' and (t.size, c.rest) <> (0, c.amount)) or (c.kind in ('gift', 'fraud') and g.price <> c.amount)
    or (c.order_id is not null and (o.user_id, o.entry_seq) is distinct from (c.user_id, c.lot_seq))
    or t.active <> (c.state not in ('won', 'dismissed')) or h.odd
    or l.posted and r.due and r.owed > 0 and (r.amount_minor, r.order_id) is distinct from (r.owed, c.order_id) as bad
  from payments.money_case c
  left join payments.top_up o on o.id = c.order_id
  left join ledger.given g on g.seq = c.entry_seq and c.kind in ('gift', 'fraud')
  left join lateral (select s.state, s.entry_seq is not null as posted from payments.step s where s.subject = c.kind and s.subject_id = c.id order by s.n desc limit 1) l on true
  left join lateral (select coalesce(sum(payments.size_of(p.part)), 0) as size, coalesce(bool_and(p.active), c.state not in ('won', 'dismissed')) as active from payments.case_part p where p.case_id = c.id) t on true
  left join lateral (
    select coalesce(bool_or(coalesce(y.micros, 0) <> coalesce(z.micros, 0)), false) as odd
    from (select x.key as account, sum(x.value::bigint) as micros from payments.case_part p cross join lateral jsonb_each_text(p.shares) x where p.case_id = c.id group by 1) y
    full join (select k.account, k.micros from payments.case_share k where k.case_id = c.id) z using (account)) h on true
  left join lateral (
    select f.amount_minor, f.order_id, c.kind in ('unspent', 'minor') and c.state = 'upheld' and c.order_id is not null as due,
      (select sum(u.amount) / 10000 from payments.step s cross join lateral unnest(s.accounts, s.amounts) u (account, amount)
        where s.subject = c.kind and s.subject_id = c.id and s.state = 'upheld' and (u.account = 'bank' or u.account like 'cash:%')) as owed
    from (select 1) one left join payments.refund f on f.case_id = c.id) r on true
) x
