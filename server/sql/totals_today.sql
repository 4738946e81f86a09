-- Entries are numbered in time's order: where the day begins is found by halving, and what is not a gift since then is counted.
with recursive d as (select date_trunc('day', now() at time zone $1) at time zone $1 as since),
h (low, high) as (
  select 1::bigint, (select seq + 1 from ledger.progress)
  union all
  select case when later then low else middle + 1 end, case when later then middle else high end
  from (select low, high, (low + high) / 2 as middle from h where low < high) m
  cross join lateral (select coalesce((select at from ledger.given where seq = m.middle), (select at from ledger.booked where seq = m.middle)) >= (select since from d) as later) l
),
day as (select min(high) as first from h where low = high)
select (select seq from ledger.progress) + 1 - day.first - (select count(*) from ledger.booked where seq >= day.first),
  coalesce((select sum(coins) from gifts.given_on_day where day = (now() at time zone $1)::date), 0)::bigint,
  (select count(*) from payments.paid_top_up, d where paid_at >= d.since),
  coalesce((select sum(price_minor) from payments.paid_top_up, d where paid_at >= d.since), 0)::bigint
from day
