-- ledger.post_gifts as in 0001, but for v_min_seq: with the database's clock behind the server's, a leaf that had just closed was
-- not looked into for a key of the last allowed minute, and a replay of it was posted again.
create or replace function ledger.post_gifts(p_epoch bigint, p_day date, p_oldest_key timestamptz, p_keys uuid[], p_payers bigint[], p_routes bigint[], p_prices bigint[],
    p_items bigint[], p_quantities int[], p_rooms bigint[], p_performances bigint[], p_lookup_only boolean[])
returns table (o_ord int, o_status smallint, o_seq bigint, o_paid bigint, o_gift_only bigint, o_bonus bigint)
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
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
        case when w.raised_from <= now() then w.raised_limit else w.daily_limit end - coalesce(d.spent, 0) as room_left
      from unnest(p_keys, p_payers, p_routes, p_prices, p_items, p_quantities, p_rooms, p_performances, p_lookup_only)
        with ordinality as i (key, payer, route, price, item, quantity, room, performance, lookup_only, ord)
      left join lateral (select gg.seq, gg.payer, gg.item, gg.quantity, gg.room, gg.price from gift gg where gg.key = i.key and gg.seq >= v_min_seq limit 1) g on true
      left join wallet w on w.user_id = i.payer
      left join balance bw on bw.account_id = w.wallet_account
      left join balance bg on bg.account_id = w.gift_only_account
      left join balance bb on bb.account_id = w.bonus_account
      left join daily_spend d on d.user_id = i.payer and d.day = p_day
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
        select l.account, sum(l.amount)::bigint as amount, count(*) as n
        from ins i join route t on t.id = i.route join wallet w on w.user_id = i.payer
        cross join lateral (values (w.bonus_account, -i.bonus), (w.gift_only_account, -i.gift_only), (w.wallet_account, -(i.price - i.bonus - i.gift_only)),
          (t.vat_account, i.vat), (t.rights_account, i.rights), (t.singer_account, i.singer), (t.agent_account, i.agent),
          (t.venue_account, i.venue), (t.platform_account, i.platform), (t.promo_account, i.promo)) as l (account, amount)
        where l.amount <> 0 group by l.account
      ), upd as (
        update balance b set amount = b.amount + l.amount, version = b.version + l.n, as_of_seq = $2 + $3 from legs l where b.account_id = l.account returning 1
      ), spend as (
        insert into daily_spend as d (user_id, day, spent) select i.payer, $4, sum(i.price) from ins i group by i.payer
          on conflict (user_id, day) do update set spent = d.spent + excluded.spent
      )
      select (select count(*) from upd), (select count(*) from legs)
    $sql$, v_leaf) using v_judged, v_seq, v_count, p_day into v_touched, v_expected;
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
