-- A wallet's spending of the day stands in the row of its coins: one row to save for each wallet instead of two, and nothing to
-- give back to a day that is over. Earlier days are in the journal. Rows are saved by a connection of their own, beside posting.
select ledger.catch_up((select writer_epoch from ledger.head));
alter table ledger.balance
  add column spent bigint not null default 0 check (spent >= 0),  -- of a wallet's coins: what its owner gave
  add column spent_day int not null default 0;                    -- on this day, the last one on which he gave: days since 1970-01-01
update ledger.balance b set spent = d.spent, spent_day = d.day - date '1970-01-01'
from (select distinct on (user_id) user_id, day, spent from ledger.daily_spend order by user_id, day desc) d join ledger.wallet w on w.user_id = d.user_id
where b.account_id = w.wallet_account;

drop view ledger.spent;
-- The last day's spending of each wallet, with what is unsaved.
create view ledger.spent as
  select w.user_id, w.wallet_account, greatest(b.spent_day, u.day) as day,
    (case when u.day > b.spent_day then 0 else b.spent end + case when u.day < b.spent_day then 0 else coalesce(u.spent, 0) end)::bigint as spent
  from ledger.wallet w join ledger.balance b on b.account_id = w.wallet_account
  left join (
    select distinct on (g.payer) g.payer, t.day, sum(g.price) as spent
    from ledger.gift g join ledger.wallet v on v.user_id = g.payer join ledger.balance o on o.account_id = v.wallet_account
    cross join lateral (select (g.at at time zone (select time_zone from ledger.head))::date - date '1970-01-01' as day) t
    where g.seq > (select checkpoint_seq from ledger.head) and g.seq > o.as_of_seq group by g.payer, t.day order by g.payer, t.day desc
  ) u on u.payer = w.user_id;
grant select on ledger.spent to ovation_app;

drop function ledger.save, ledger.save_spend, ledger.give_back;
-- Rows of the checkpoint: true as of p_as_of. Older truths do not overwrite newer ones. Whoever takes the head over waits until
-- this is done (take_head and catch_up lock the head's row against it), and comes to stand behind it.
create function ledger.save(p_epoch bigint, p_accounts bigint[], p_amounts bigint[], p_versions bigint[], p_spents bigint[], p_days int[], p_as_of bigint) returns void
language plpgsql security definer set search_path = ledger, pg_temp as $$
begin
  perform from head where writer_epoch = p_epoch for key share;
  if not found then raise exception 'another writer has taken over' using errcode = 'OV002'; end if;
  update balance b set amount = u.amount, version = u.version, spent = u.spent, spent_day = u.day, as_of_seq = p_as_of
  from unnest(p_accounts, p_amounts, p_versions, p_spents, p_days) u (account, amount, version, spent, day) where b.account_id = u.account and b.as_of_seq <= p_as_of;
end $$;

create or replace function ledger.catch_up(p_epoch bigint) returns void
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare v_head head;
begin
  select * into v_head from head where writer_epoch = p_epoch for update;
  if not found then raise exception 'another writer has taken over' using errcode = 'OV002'; end if;
  if v_head.checkpoint_seq = v_head.seq then
    update head set time_zone = current_setting('timezone') where time_zone <> current_setting('timezone');
    return;
  end if;
  update balance b set spent = s.spent, spent_day = s.day from spent s where b.account_id = s.wallet_account and (b.spent, b.spent_day) is distinct from (s.spent, s.day);
  update balance b set amount = b.amount + u.amount, version = b.version + u.n, as_of_seq = v_head.seq from unsaved u where b.account_id = u.account;
  update head set checkpoint_seq = seq, time_zone = current_setting('timezone');
end $$;

-- As in 0019, with the spending in the rows.
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
        select u.account, coalesce((h.detail->>'day')::date, (e.at at time zone v_zone)::date) - date '1970-01-01', -u.amount
        from entry e cross join lateral unnest(e.accounts, e.amounts) u (account, amount) join account a on a.id = u.account and a.kind = 'wallet'
        left join lateral (select x.detail from entry x where x.kind = 'hold' and (x.seq = e.seq
            or e.kind = 'release' and x.accounts @> (select array_agg(f.account) from unnest(e.accounts, e.amounts) f (account, amount) where f.amount < 0)) order by x.seq limit 1) h on true
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

-- The set-based functions as in 0007 and 0010.
create or replace function ledger.post_gifts(p_epoch bigint, p_day date, p_oldest_key timestamptz, p_keys uuid[], p_payers bigint[], p_routes bigint[], p_prices bigint[],
    p_items bigint[], p_quantities int[], p_rooms bigint[], p_performances bigint[], p_lookup_only boolean[])
returns table (o_ord int, o_status smallint, o_seq bigint, o_paid bigint, o_gift_only bigint, o_bonus bigint)
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_day constant int := p_day - date '1970-01-01';
  v_seq bigint := fence(p_epoch);
  v_min_seq bigint;
  v_judged judged[];
  v_count int;
  v_leaf text;
  v_i int;
  v_payer bigint := -1;
  v_running bigint;
  v_dry boolean;      -- this payer's sends together are too much
  v_one judged;
  v_touched bigint;
  v_expected bigint;
begin
  -- Leaves that a known key may be in. A key's time may lie an hour ahead of the server's clock, and closed_at is the database's
  -- clock, which may be behind the server's: a day leaves room for both and costs one more leaf to look into.
  select coalesce(min(first_seq), 1) into v_min_seq from gift_leaf where closed_at is null or closed_at > p_oldest_key - interval '1 day';

  -- Key, accounts, limits: everything that may refuse.
  select array_agg(row(j.ord, j.key, j.payer, j.route, j.price, j.item, j.quantity, j.room, j.performance,
      case when j.status <> 0 then j.status when j.frozen then 8 else 0 end::smallint,
      j.seq, j.running, j.bonus, j.gift_only, j.paid, j.room_left, j.frozen,
      j.status = 0 and (j.total > j.bonus + j.gift_only + j.paid or j.total > j.room_left))::judged order by j.payer, j.ord)
  into v_judged
  from (
    select k.*,
      sum(case when k.status = 0 then k.price else 0 end) over (partition by k.payer order by k.ord) - case when k.status = 0 then k.price else 0 end as running,
      sum(case when k.status = 0 then k.price else 0 end) over (partition by k.payer) as total
    from (
      select i.ord::int, i.key, i.payer, i.route, greatest(i.price, 0) as price, i.item, i.quantity, i.room, i.performance, g.seq,
        case when g.seq is not null then case when g.payer = i.payer and g.item = i.item and g.quantity = i.quantity and g.room = i.room and g.price = i.price then 1 else 2 end
             when i.lookup_only then 3
             when i.price <= 0 or i.price % 10000 <> 0 or i.quantity <= 0 then 4
             when w.user_id is null then 5
             when r.id is null then 6
             else 0 end::smallint as status,
        coalesce(bb.amount, 0) as bonus, coalesce(bg.amount, 0) as gift_only, coalesce(bw.amount, 0) as paid, coalesce(w.frozen, false) as frozen,
        case when w.raised_from <= now() then w.raised_limit else w.daily_limit end - case when bw.spent_day = v_day then bw.spent else 0 end as room_left
      from unnest(p_keys, p_payers, p_routes, p_prices, p_items, p_quantities, p_rooms, p_performances, p_lookup_only)
        with ordinality as i (key, payer, route, price, item, quantity, room, performance, lookup_only, ord)
      left join lateral (select gg.seq, gg.payer, gg.item, gg.quantity, gg.room, gg.price from gift gg where gg.key = i.key and gg.seq >= v_min_seq limit 1) g on true
      left join wallet w on w.user_id = i.payer
      left join balance bw on bw.account_id = w.wallet_account
      left join balance bg on bg.account_id = w.gift_only_account
      left join balance bb on bb.account_id = w.bonus_account
      left join route r on r.id = i.route
    ) k
  ) j;

  -- Wallets whose sends together are too much for them: one by one, in order.
  if exists (select from unnest(v_judged) u where u.contested) then
    for v_i in 1 .. cardinality(v_judged) loop
      v_one := v_judged[v_i];
      if v_one.payer <> v_payer then
        v_payer := v_one.payer;
        v_running := 0;
        v_dry := false;
      end if;
      if v_one.contested then
        v_dry := true;
        v_one.running := v_running;
        v_one.status := case when v_one.bonus + v_one.gift_only + v_one.paid - v_running < v_one.price then 7
                             when v_one.frozen then 8
                             when v_one.room_left - v_running < v_one.price then 9
                             else 0 end;
        if v_one.status = 0 then v_running := v_running + v_one.price; end if;
        v_judged[v_i] := v_one;
      elsif v_dry then
        v_one.running := v_running;   -- a replay between refused sends: its balance is the true one
        v_judged[v_i] := v_one;
      end if;
    end loop;
  end if;

  -- From here on nothing may refuse.
  select count(*) into v_count from unnest(v_judged) u where u.status = 0;
  if v_count > 0 then
    select name into v_leaf from gift_leaf where first_seq <= v_seq + 1 and end_seq > v_seq + v_count;
    if v_leaf is null then v_leaf := 'gift'; end if;
    execute format($sql$
      with ok as materialized (
        select u.*, $2 + row_number() over (order by u.ord) as new_seq from unnest($1) u where u.status = 0
      ), ins as (
        insert into %I (seq, key, at, payer, route, item, room, performance, price, bonus, gift_only, vat, rights, singer, agent, venue, platform, promo, quantity)
        select o.new_seq, o.key, now(), o.payer, o.route, o.item, o.room, o.performance, o.price, p.bonus, p.gift_only,
          b.vat,
          f.r + (k.k > (f.ms > f.mr)::int + (f.ma > f.mr)::int + (f.mv > f.mr)::int + (f.mp > f.mr)::int)::int,
          f.s + (k.k > (f.mr >= f.ms)::int + (f.ma > f.ms)::int + (f.mv > f.ms)::int + (f.mp > f.ms)::int)::int + c.singer,
          f.a + (k.k > (f.mr >= f.ma)::int + (f.ms >= f.ma)::int + (f.mv > f.ma)::int + (f.mp > f.ma)::int)::int,
          f.v + (k.k > (f.mr >= f.mv)::int + (f.ms >= f.mv)::int + (f.ma >= f.mv)::int + (f.mp > f.mv)::int)::int,
          f.p + (k.k > (f.mr >= f.mp)::int + (f.ms >= f.mp)::int + (f.ma >= f.mp)::int + (f.mv >= f.mp)::int)::int - case when x.gross then b.vat else 0 end,
          p.bonus - c.singer, o.quantity
        from ok o
        join route t on t.id = o.route
        join split_rule x on x.id = t.rule_id
        cross join lateral (select least(o.running + o.price, o.bonus) - least(o.running, o.bonus) as bonus,
                                   least(greatest(o.running + o.price - o.bonus, 0), o.gift_only) - least(greatest(o.running - o.bonus, 0), o.gift_only) as gift_only) p
        cross join lateral (select (o.price - p.bonus) * x.vat_bp / (10000 + x.vat_bp) as vat) b
        cross join lateral (select o.price - p.bonus - case when x.gross then 0 else b.vat end as base) e
        cross join lateral (select p.bonus * x.bonus_singer_bp / 10000 as singer) c
        cross join lateral (select e.base * x.rights_bp / 10000 as r, e.base * x.singer_bp / 10000 as s, e.base * x.agent_bp / 10000 as a,
                                   e.base * x.venue_bp / 10000 as v, e.base * x.platform_bp / 10000 as p,
                                   e.base * x.rights_bp %% 10000 as mr, e.base * x.singer_bp %% 10000 as ms, e.base * x.agent_bp %% 10000 as ma,
                                   e.base * x.venue_bp %% 10000 as mv, e.base * x.platform_bp %% 10000 as mp) f
        cross join lateral (select e.base - f.r - f.s - f.a - f.v - f.p as k) k
        returning *
      ), legs as (
        select l.account, sum(l.amount)::bigint as amount, count(*) filter (where l.amount <> 0) as n, sum(l.spent)::bigint as spent
        from ins i join route t on t.id = i.route join wallet w on w.user_id = i.payer
        cross join lateral (values (w.bonus_account, -i.bonus, 0), (w.gift_only_account, -i.gift_only, 0), (w.wallet_account, -(i.price - i.bonus - i.gift_only), i.price),
          (t.vat_account, i.vat, 0), (t.rights_account, i.rights, 0), (t.singer_account, i.singer, 0), (t.agent_account, i.agent, 0),
          (t.venue_account, i.venue, 0), (t.platform_account, i.platform, 0), (t.promo_account, i.promo, 0)) as l (account, amount, spent)
        where l.amount <> 0 or l.spent <> 0 group by l.account
      ), upd as (
        update balance b set amount = b.amount + l.amount, version = b.version + l.n, as_of_seq = $2 + $3,
          spent = case when l.spent = 0 then b.spent when b.spent_day = $4 then b.spent + l.spent else l.spent end, spent_day = case when l.spent = 0 then b.spent_day else $4 end
        from legs l where b.account_id = l.account returning 1
      )
      select (select count(*) from upd), (select count(*) from legs)
    $sql$, v_leaf) using v_judged, v_seq, v_count, v_day into v_touched, v_expected;
    if v_touched <> v_expected then raise exception 'a balance row is missing (% of %)', v_touched, v_expected; end if;
    update head set seq = v_seq + v_count where writer_epoch = p_epoch;
    update gift_leaf set closed_at = now() where closed_at is null and end_seq <= v_seq + v_count + 1;
  end if;

  return query
    select u.ord, u.status,
      case when u.status = 0 then v_seq + count(*) filter (where u.status = 0) over (order by u.ord) else u.seq end,
      u.paid - greatest(a.used - u.bonus - u.gift_only, 0), u.gift_only - least(greatest(a.used - u.bonus, 0), u.gift_only), u.bonus - least(a.used, u.bonus)
    from unnest(v_judged) u cross join lateral (select u.running + case when u.status = 0 then u.price else 0 end as used) a
    order by u.ord;
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
    -- The hold is the one entry of that kind on the account from which the coins come back.
    update balance b set spent = b.spent - r.amount
    from (select a.id, h.day, sum(u.amount)::bigint as amount
          from unnest(v_ids, p_amounts) u (id, amount) join account a on a.id = u.id and a.kind = 'wallet'
          cross join lateral (select (e.detail->>'day')::date - date '1970-01-01' as day from entry e
                              where e.kind = 'hold' and e.accounts @> (select array_agg(f.id) from unnest(v_ids, p_amounts) f (id, amount) where f.amount < 0)
                              order by e.seq limit 1) h
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
drop table ledger.daily_spend;

revoke execute on function ledger.save from public;
grant execute on function ledger.save to ovation_app;
