-- A closed month has its marker, and no entry behind its last one is of it or dated back into it.
select count(*) filter (where bad), count(*), min(month::text) filter (where bad)
from (
  select c.month, not exists (select from ledger.entry e where e.seq = c.marker_seq and e.kind = 'marker' and e.detail->>'month' = c.month::text and (e.detail->>'last_seq')::bigint = c.last_seq)
    or c.last_seq >= c.marker_seq
    or exists (select from ledger.gift g where g.seq > c.last_seq and g.seq <= c.marker_seq and g.at < ((c.month + interval '1 month')::timestamp at time zone (select time_zone from ledger.head)))
    or exists (select from ledger.entry e where e.seq > c.marker_seq and e.detail ? 'effective' and date_trunc('month', (e.detail->>'effective')::date) = c.month) as bad
  from ledger.closed_month c
) m
