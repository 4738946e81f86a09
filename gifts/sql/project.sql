with old as (select seq from gifts.board_cursor for update),
upto as (select least((select seq from ledger.progress), old.seq + $2) as seq, old.seq as after from old),
news as (
  select g.seq, g.price / 10000 as coins, g.room, t.channel_id, g.payer, t.singer_user, (g.at at time zone $1)::date as day
  from ledger.given g join ledger.parties t on t.id = g.route, upto where g.seq > upto.after and g.seq <= upto.seq
  union all
  -- What was reversed is taken off in the period that is open then.
  select b.seq, -b.micros / 10000, g.room, t.channel_id, g.payer, t.singer_user, (b.at at time zone $1)::date
  from upto join ledger.given_back b on b.seq > upto.after and b.seq <= upto.seq join ledger.given g on g.seq = b.gift join ledger.parties t on t.id = g.route
),
counted as (
  select s.scope, s.scope_id, s.subject, s.subject_id, n.day, sum(n.coins)::bigint as coins, max(n.seq) as reached
  from news n cross join lateral (values (1, 0::bigint, 1, n.payer), (2, n.channel_id, 1, n.payer), (3, n.room, 1, n.payer),
    (1, 0::bigint, 2, n.singer_user), (2, n.channel_id, 2, n.singer_user), (3, n.room, 2, n.singer_user)) as s (scope, scope_id, subject, subject_id)
  group by 1, 2, 3, 4, 5
),
written as (
  insert into gifts.board_bucket as b (scope, scope_id, subject, subject_id, day, coins, reached)
  select scope, scope_id, subject, subject_id, day, coins, reached from counted
  on conflict (scope, scope_id, subject, day, subject_id) do update set coins = b.coins + excluded.coins, reached = excluded.reached
),
moved as (update gifts.board_cursor c set seq = upto.seq from upto where upto.seq > c.seq returning c.seq)
select upto.after, moved.seq, (select restore_epoch || '/' || current_database() || '/' || (select oid from pg_database where datname = current_database()) from ledger.progress), c.scope, c.scope_id, c.subject, c.subject_id, c.coins, c.reached,
  date_trunc('week', c.day)::date, date_trunc('month', c.day)::date
from moved cross join upto left join counted c on true
