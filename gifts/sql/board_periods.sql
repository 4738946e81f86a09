-- Every standing of the open week, the open month and of all time, with the cursor and epoch of the same snapshot.
with today as (select date_trunc('week', now() at time zone $1)::date as week, date_trunc('month', now() at time zone $1)::date as month),
standing as (
  select b.scope, b.scope_id, b.subject, b.subject_id, p.period, sum(b.coins)::bigint as coins, max(b.reached) as reached
  from gifts.board_bucket b cross join today
    join lateral (values ('a', '-infinity'::date), ('w' || today.week, today.week), ('m' || today.month, today.month)) p (period, since) on b.day >= p.since
  group by 1, 2, 3, 4, 5
)
select c.seq, (select restore_epoch || '/' || current_database() || '/' || (select oid from pg_database where datname = current_database()) from ledger.progress), s.* from gifts.board_cursor c left join standing s on true
