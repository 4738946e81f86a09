-- The tenant's days from a day before the first entry to a day behind the last: when each begins, in microseconds.
select (extract(epoch from (d.day::timestamp at time zone $1)) * 1000000)::bigint, d.day::date::text, d.day::date - date '1970-01-01'
from (select coalesce(min(at), now()) - interval '1 day' as a, coalesce(max(at), now()) + interval '1 day' as b
  from ((select at from ledger.gift order by seq limit 1) union all (select at from ledger.gift order by seq desc limit 1)
    union all (select at from ledger.entry order by seq limit 1) union all (select at from ledger.entry order by seq desc limit 1)) ends) r
cross join lateral generate_series((r.a at time zone $1)::date, (r.b at time zone $1)::date, interval '1 day') d (day)
order by 1
