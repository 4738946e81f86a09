-- The tenant's days from the first entry to the last: when each begins, in microseconds.
select (extract(epoch from (d.day::timestamp at time zone $1)) * 1000000)::bigint, d.day::date::text, d.day::date - date '1970-01-01'
from (select coalesce(least((select min(at) from ledger.gift), (select min(at) from ledger.entry)), now()) as a, coalesce(greatest((select max(at) from ledger.gift), (select max(at) from ledger.entry)), now()) as b) r
cross join lateral generate_series((r.a at time zone $1)::date, (r.b at time zone $1)::date, interval '1 day') d (day)
order by 1
