-- The hold of a release is found by its accounts, whatever the planner thinks of `order by seq limit 1`: it read the whole
-- table for each. And an index on accounts that is always whole: its list of pending rows was read by every search.
alter index ledger.entry_accounts set (fastupdate = off);
select gin_clean_pending_list('ledger.entry_accounts');

-- The day (days since 1970) on which a hold counted as spending: the hold is the one entry of that kind on the accounts from which the coins come back.
create function ledger.hold_day(p_accounts bigint[]) returns int language sql stable set search_path = ledger, pg_temp as $$
  with holds as materialized (select seq, (detail->>'day')::date - date '1970-01-01' as day from entry where kind = 'hold' and accounts @> p_accounts)
  select day from holds order by seq limit 1
$$;
grant execute on function ledger.hold_day to ovation_app;

-- The functions of 0025, with that.
create or replace function ledger.rebuild() returns bigint
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_seq bigint;
  v_zone text;
  v_wrong bigint;
begin
  perform from head for update;
  update head set writer_epoch = writer_epoch + 1, lease_until = clock_timestamp() returning seq, time_zone into v_seq, v_zone;
  create temporary table counted on commit drop as
    select a.id, coalesce(p.amount, 0)::bigint as amount, coalesce(p.n, 0)::bigint as version, coalesce(d.spent, 0)::bigint as spent, coalesce(d.day, 0) as day,
      s.amount as had, s.version as had_version, coalesce(o.spent, 0) as had_spent, coalesce(o.day, 0) as had_day
    from account a left join (select account, sum(amount) as amount, count(*) as n from posting group by account) p on p.account = a.id
    left join standings s on s.account_id = a.id
    left join spent o on o.wallet_account = a.id
    left join (
      select distinct on (account) account, day, sum(spent) as spent from (
        select w.wallet_account as account, (g.at at time zone v_zone)::date - date '1970-01-01' as day, g.price as spent from gift g join wallet w on w.user_id = g.payer
        union all
        -- A hold is spent on its day, and its release gives back to that day.
        select u.account, coalesce(case when e.kind = 'hold' then (e.detail->>'day')::date - date '1970-01-01'
            else hold_day((select array_agg(f.account) from unnest(e.accounts, e.amounts) f (account, amount) where f.amount < 0)) end, (e.at at time zone v_zone)::date - date '1970-01-01'), -u.amount
        from entry e cross join lateral unnest(e.accounts, e.amounts) u (account, amount) join account a on a.id = u.account and a.kind = 'wallet'
        where e.kind in ('hold', 'release')
      ) one group by account, day order by account, day desc
    ) d on d.account = a.id;
  select count(*) into v_wrong from counted c where (c.amount, c.version) is distinct from (c.had, c.had_version) or (c.spent, c.day) <> (c.had_spent, c.had_day);
  insert into balance (account_id, floored, whole_coins) select a.id, a.floored, a.whole_coins from account a where not exists (select from balance b where b.account_id = a.id);
  update balance b set amount = c.amount, version = c.version, spent = c.spent, spent_day = c.day, as_of_seq = v_seq
    from counted c where c.id = b.account_id and (b.amount, b.version, b.spent, b.spent_day) is distinct from (c.amount, c.version, c.spent, c.day);
  update head set checkpoint_seq = seq;
  return v_wrong;
end $$;
create or replace function ledger.post_entry(p_epoch bigint, p_kind text, p_key text, p_accounts text[], p_amounts bigint[], p_reference text, p_detail jsonb)
returns table (o_status smallint, o_seq bigint)
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_day constant int := current_date - date '1970-01-01';
  v_seq bigint := fence(p_epoch);
  v_known boolean;
  v_old entry;
  v_ids bigint[];
  v_spends boolean := false;
  v_status smallint := 0;
  v_payer bigint;
  v_price bigint;
begin
  select * into v_old from entry e where e.key = p_key;
  v_known := found;
  if not v_known and p_kind = 'hold' then
    select w.user_id, l.price,
      case when w.user_id is null then 5
           when b.amount < l.price then 7
           when w.frozen then 8
           when case when w.raised_from <= now() then w.raised_limit else w.daily_limit end - case when b.spent_day = v_day then b.spent else 0 end < l.price then 9
           else 0 end
    into v_payer, v_price, v_status
    from (select u.name, -sum(u.amount)::bigint as price from unnest(p_accounts, p_amounts) u (name, amount)
          where u.name like 'wallet:%' group by u.name having sum(u.amount) < 0) l
    left join account a on a.name = l.name
    left join wallet w on w.user_id = a.owner_id
    left join balance b on b.account_id = a.id
    order by 3 desc limit 1;
    v_spends := found;
    if v_spends and v_status <> 0 then
      return query select v_status, 0::bigint;
      return;
    end if;
  end if;
  select array_agg(open_account(n) order by o) into v_ids from unnest(p_accounts) with ordinality u (n, o);
  v_ids := coalesce(v_ids, '{}');
  if v_known then
    return query select case when v_old.kind = p_kind and v_old.accounts = v_ids and v_old.amounts = p_amounts and v_old.reference = p_reference
                        then 1 else 2 end::smallint, v_old.seq;
    return;
  end if;
  if exists (select from (select id, sum(amount) as amount from unnest(v_ids, p_amounts) u (id, amount) group by id) l
             join balance b on b.account_id = l.id where b.floored and b.amount + l.amount < 0) then
    return query select 7::smallint, 0::bigint;
    return;
  end if;
  if v_spends then
    update balance b set spent = case when b.spent_day = v_day then b.spent + v_price else v_price end, spent_day = v_day
    from wallet w where w.user_id = v_payer and b.account_id = w.wallet_account;
  end if;
  if p_kind = 'release' then
    update balance b set spent = b.spent - r.amount
    from (select a.id, h.day, sum(u.amount)::bigint as amount
          from unnest(v_ids, p_amounts) u (id, amount) join account a on a.id = u.id and a.kind = 'wallet'
          cross join (select hold_day(array_agg(f.id)) as day from unnest(v_ids, p_amounts) f (id, amount) where f.amount < 0) h
          where u.amount > 0 group by a.id, h.day) r
    where b.account_id = r.id and b.spent_day = r.day;
  end if;
  insert into entry (seq, kind, key, at, accounts, amounts, reference, detail)
    values (v_seq + 1, p_kind, p_key, now(), v_ids, p_amounts, p_reference, case when v_spends then p_detail || jsonb_build_object('day', current_date) else p_detail end);
  update balance b set amount = b.amount + l.amount, version = b.version + l.n, as_of_seq = v_seq + 1
    from (select id, sum(amount)::bigint as amount, count(*) as n from unnest(v_ids, p_amounts) u (id, amount) group by id) l where b.account_id = l.id;
  update head set seq = v_seq + 1 where writer_epoch = p_epoch;
  update gift_leaf set closed_at = now() where closed_at is null and end_seq <= v_seq + 2;
  return query select 0::smallint, v_seq + 1;
end $$;
