-- The database's clock, the day in the session's time zone, and when it ends.
select (extract(epoch from now()) * 1000000)::bigint, current_date - date '1970-01-01', (extract(epoch from (current_date + 1)::timestamptz) * 1000000)::bigint
