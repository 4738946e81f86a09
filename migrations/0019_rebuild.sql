-- ledger.rebuild(): every balance and day's spending again from the journal. For the owner's role alone; a writer that runs is fenced
-- and reads the rows anew. Returns how many rows were not what they had to be.
create function ledger.rebuild() returns bigint
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_seq bigint;
  v_zone text;
  v_wrong bigint;
  v_days bigint;
begin
  update head set writer_epoch = writer_epoch + 1, lease_until = clock_timestamp() returning seq, time_zone into v_seq, v_zone;
  create temporary table counted on commit drop as
    select a.id, coalesce(p.amount, 0)::bigint as amount, coalesce(p.n, 0)::bigint as version, s.amount as had, s.version as had_version
    from account a left join (select account, sum(amount) as amount, count(*) as n from posting group by account) p on p.account = a.id
    left join standings s on s.account_id = a.id;
  create temporary table counted_days on commit drop as
    select user_id, day, sum(spent)::bigint as spent from (
      select payer as user_id, (at at time zone v_zone)::date as day, price as spent from gift
      union all
      -- A hold is spent on its day, and its release gives back to that day.
      select a.owner_id, coalesce((h.detail->>'day')::date, (e.at at time zone v_zone)::date), -u.amount
      from entry e cross join lateral unnest(e.accounts, e.amounts) u (account, amount) join account a on a.id = u.account and a.kind = 'wallet'
      left join lateral (select x.detail from entry x where x.kind = 'hold' and (x.seq = e.seq
          or e.kind = 'release' and x.accounts @> (select array_agg(f.account) from unnest(e.accounts, e.amounts) f (account, amount) where f.amount < 0)) order by x.seq limit 1) h on true
      where e.kind in ('hold', 'release')
    ) s group by user_id, day;
  select count(*) into v_wrong from counted c where (c.amount, c.version) is distinct from (c.had, c.had_version);
  select count(*) into v_days from counted_days c full join spent s on s.user_id = c.user_id and s.day = c.day where coalesce(c.spent, 0) <> coalesce(s.spent, 0);
  insert into balance (account_id, floored, whole_coins) select a.id, a.floored, a.whole_coins from account a where not exists (select from balance b where b.account_id = a.id);
  update balance b set amount = c.amount, version = c.version, as_of_seq = v_seq from counted c where c.id = b.account_id and (b.amount, b.version) is distinct from (c.amount, c.version);
  delete from daily_spend d where not exists (select from counted_days c where c.user_id = d.user_id and c.day = d.day);
  insert into daily_spend (user_id, day, spent, as_of_seq) select user_id, day, spent, v_seq from counted_days
    on conflict (user_id, day) do update set spent = excluded.spent, as_of_seq = v_seq;
  update head set checkpoint_seq = seq;
  return v_wrong + v_days;
end $$;
revoke execute on function ledger.rebuild from public;
