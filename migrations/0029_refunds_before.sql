-- What was given back before lines were kept of it (0027) gets its line as well: whether it was sent nobody here knows, so no
-- provider is asked, and finance notes what became of it. With that each has one, and `ovation ledger verify` misses a line that is gone.
insert into payments.refund (case_id, order_id, provider, amount_minor, currency, state, why)
select c.id, c.order_id, c.provider, b.minor, o.currency, 'refused', 'booked before lines were kept: look whether it was sent, then note its reference'
from payments.money_case c
join payments.top_up o on o.id = c.order_id
cross join lateral (
  select (sum(l.amount) / 10000)::bigint as minor
  from payments.step s cross join lateral unnest(s.accounts, s.amounts) l (account, amount)
  where s.subject = c.kind and s.subject_id = c.id and s.state = 'upheld' and s.entry_seq is not null and (l.account = 'bank' or l.account like 'cash:%')) b
where c.kind in ('unspent', 'minor') and b.minor > 0 and not exists (select from payments.refund r where r.case_id = c.id);
