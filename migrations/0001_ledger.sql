-- The ledger: accounts, one row per gift, one row per other entry, balances, the head.
-- Posting goes only through the functions below (SECURITY DEFINER, owned by the migrating role);
-- the application's role can read, and can neither insert, update nor delete what is posted.
do $$ begin
  if not exists (select from pg_roles where rolname = 'ovation_app') then
    create role ovation_app login;
  end if;
end $$;

create schema ledger;
grant usage on schema ledger to ovation_app;

-- Where the commit order stands, and who may extend it.
create table ledger.head (
  one           boolean primary key default true check (one),
  seq           bigint not null default 0 check (seq >= 0),
  writer_epoch  bigint not null default 0,
  restore_epoch bigint not null default 0,
  holder        text,
  backend_pid   int,
  backend_start timestamptz,
  lease_until   timestamptz
);
insert into ledger.head default values;

create table ledger.account (
  id          bigint generated always as identity primary key,
  name        text not null unique,
  kind        text not null check (kind in ('bank', 'cash', 'disputed', 'held', 'wallet', 'gift_only', 'bonus', 'earnings', 'escrow',
                'vat', 'withholding', 'payout_transit', 'receivable', 'platform', 'provider_fees', 'promo', 'suspense')),
  owner_id    bigint,                -- identity.users, for wallet, gift_only, bonus, earnings
  floored     boolean not null,
  whole_coins boolean not null,
  unique (id, floored, whole_coins)
);

create table ledger.balance (
  account_id  bigint primary key,
  floored     boolean not null,
  whole_coins boolean not null,
  amount      bigint not null default 0,
  version     bigint not null default 0,
  as_of_seq   bigint not null default 0,
  foreign key (account_id, floored, whole_coins) references ledger.account (id, floored, whole_coins),
  constraint balance_floor check (not floored or amount >= 0),
  constraint balance_whole_coins check (not whole_coins or amount % 10000 = 0)
) with (fillfactor = 50);

-- The kinds, what may not fall below zero, and what holds whole coins (rules.md section 1).
create function ledger.open_account(p_name text) returns bigint
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_kind text := split_part(p_name, ':', 1);
  v_id bigint;
  v_floored boolean := v_kind in ('wallet', 'gift_only', 'bonus', 'earnings', 'escrow', 'payout_transit', 'held');
  v_whole boolean := v_kind in ('wallet', 'gift_only', 'bonus');
  v_owner bigint;
begin
  select a.id into v_id from account a where a.name = p_name;
  if found then return v_id; end if;
  if v_kind in ('wallet', 'gift_only', 'bonus', 'earnings') and split_part(p_name, ':', 2) ~ '^[0-9]+$' then
    v_owner := split_part(p_name, ':', 2)::bigint;
  end if;
  insert into account (name, kind, owner_id, floored, whole_coins) values (p_name, v_kind, v_owner, v_floored, v_whole)
    on conflict (name) do nothing returning id into v_id;
  if v_id is null then
    select a.id into v_id from account a where a.name = p_name;
    return v_id;
  end if;
  insert into balance (account_id, floored, whole_coins) values (v_id, v_floored, v_whole);
  return v_id;
end $$;
create index account_owner on ledger.account (owner_id) where owner_id is not null;

create table ledger.wallet (
  user_id           bigint primary key,
  wallet_account    bigint not null references ledger.account,
  gift_only_account bigint not null references ledger.account,
  bonus_account     bigint not null references ledger.account,
  frozen            boolean not null default false,
  daily_limit       bigint not null default 2000000000 check (daily_limit >= 0),   -- micros
  raised_limit      bigint check (raised_limit >= 0),
  raised_from       timestamptz
);
create table ledger.daily_spend (
  user_id bigint not null,
  day     date not null,
  spent   bigint not null check (spent >= 0),
  primary key (user_id, day)
) with (fillfactor = 50);

create function ledger.open_wallet(p_user bigint) returns void
language sql security definer set search_path = ledger, pg_temp as $$
  insert into wallet (user_id, wallet_account, gift_only_account, bonus_account)
  select p_user, open_account('wallet:' || p_user), open_account('gift_only:' || p_user), open_account('bonus:' || p_user)
  where not exists (select from wallet where user_id = p_user)
  on conflict do nothing;
$$;

-- A lower limit acts at once, a higher one after 24 hours.
create function ledger.set_daily_limit(p_user bigint, p_limit bigint) returns void
language sql security definer set search_path = ledger, pg_temp as $$
  update wallet set
    daily_limit  = case when raised_from <= now() then least(p_limit, raised_limit) else least(p_limit, daily_limit) end,
    raised_limit = case when p_limit > (case when raised_from <= now() then raised_limit else daily_limit end) then p_limit end,
    raised_from  = case when p_limit > (case when raised_from <= now() then raised_limit else daily_limit end) then now() + interval '24 hours' end
  where user_id = p_user;
$$;

-- Split rules and routes are immutable, interned rows: each gift can be recomputed from its own.
create table ledger.split_rule (
  id             bigint generated always as identity primary key,
  preset         text not null,
  preset_version int not null,
  source         text not null check (source in ('event', 'contract', 'channel', 'preset')),
  source_id      bigint not null default 0,
  gross          boolean not null,
  vat_bp         int not null check (vat_bp between 0 and 5000),
  rights_bp      int not null check (rights_bp >= 0),
  singer_bp      int not null check (singer_bp >= 0),
  agent_bp       int not null check (agent_bp >= 0),
  venue_bp       int not null check (venue_bp >= 0),
  platform_bp    int not null check (platform_bp >= 0),
  bonus_singer_bp int not null default 0 check (bonus_singer_bp between 0 and 10000),
  check (rights_bp + singer_bp + agent_bp + venue_bp + platform_bp = 10000),
  -- With a gross base the VAT comes out of the platform's part, which must be able to bear it.
  check (not gross or platform_bp >= (10000 * vat_bp + 9999 + vat_bp) / (10000 + vat_bp)),
  unique (preset, preset_version, source, source_id, gross, vat_bp, rights_bp, singer_bp, agent_bp, venue_bp, platform_bp, bonus_singer_bp)
);
create table ledger.route (
  id               bigint generated always as identity primary key,
  rule_id          bigint not null references ledger.split_rule,
  singer_user      bigint not null,
  channel_id       bigint not null default 0,
  vat_account      bigint not null references ledger.account,
  rights_account   bigint not null references ledger.account,
  singer_account   bigint not null references ledger.account,
  agent_account    bigint not null references ledger.account,
  venue_account    bigint not null references ledger.account,
  platform_account bigint not null references ledger.account,
  promo_account    bigint not null references ledger.account,
  unique (rule_id, singer_user, channel_id, rights_account, singer_account, agent_account, venue_account)
);
create index route_singer on ledger.route (singer_account);
create index route_agent on ledger.route (agent_account);
create index route_channel on ledger.route (channel_id);

create function ledger.intern_rule(p_preset text, p_version int, p_source text, p_source_id bigint, p_gross boolean, p_vat int,
    p_rights int, p_singer int, p_agent int, p_venue int, p_platform int) returns bigint
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare v_id bigint;
begin
  insert into split_rule (preset, preset_version, source, source_id, gross, vat_bp, rights_bp, singer_bp, agent_bp, venue_bp, platform_bp)
    values (p_preset, p_version, p_source, p_source_id, p_gross, p_vat, p_rights, p_singer, p_agent, p_venue, p_platform)
    on conflict do nothing returning id into v_id;
  if v_id is null then
    select id into strict v_id from split_rule where (preset, preset_version, source, source_id, gross, vat_bp, rights_bp, singer_bp, agent_bp,
      venue_bp, platform_bp, bonus_singer_bp) = (p_preset, p_version, p_source, p_source_id, p_gross, p_vat, p_rights, p_singer, p_agent, p_venue, p_platform, 0);
  end if;
  return v_id;
end $$;

-- Party 0 = nobody: its share is 0 in the rule, its account is the platform's.
create function ledger.intern_route(p_rule bigint, p_singer bigint, p_agent bigint, p_channel bigint) returns bigint
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_id bigint;
  v_platform bigint := open_account('platform');
  v_rights bigint := open_account('earnings:rights');
  v_singer bigint := open_account('earnings:' || p_singer);
  v_agent bigint := case when p_agent = 0 then v_platform else open_account('earnings:' || p_agent) end;
begin
  insert into route (rule_id, singer_user, channel_id, vat_account, rights_account, singer_account, agent_account, venue_account, platform_account, promo_account)
    values (p_rule, p_singer, p_channel, open_account('vat'), v_rights, v_singer, v_agent, v_platform, v_platform, open_account('promo'))
    on conflict do nothing returning id into v_id;
  if v_id is null then
    select id into strict v_id from route where (rule_id, singer_user, channel_id, rights_account, singer_account, agent_account, venue_account)
      = (p_rule, p_singer, p_channel, v_rights, v_singer, v_agent, v_platform);
  end if;
  return v_id;
end $$;

-- One row per gift. Legs in micros; price = bonus + gift_only + paid part.
create table ledger.gift (
  seq         bigint not null,
  key         uuid not null,
  at          timestamptz not null,
  payer       bigint not null,     -- ledger.wallet.user_id
  route       bigint not null,     -- ledger.route
  item        bigint not null,     -- gifts.gift_version
  room        bigint not null,
  performance bigint not null,     -- 0: none
  price       bigint not null,
  bonus       bigint not null,
  gift_only   bigint not null,
  vat         bigint not null,
  rights      bigint not null,
  singer      bigint not null,
  agent       bigint not null,
  venue       bigint not null,
  platform    bigint not null,
  promo       bigint not null,
  quantity    int not null,
  constraint gift_price check (price > 0 and price % 10000 = 0 and quantity > 0),
  constraint gift_parts check (bonus >= 0 and gift_only >= 0 and bonus + gift_only <= price and bonus % 10000 = 0 and gift_only % 10000 = 0),
  constraint gift_legs check (vat >= 0 and rights >= 0 and singer >= 0 and agent >= 0 and venue >= 0 and platform >= 0 and promo >= 0),
  constraint gift_sum_zero check (vat + rights + singer + agent + venue + platform + promo = price)
) partition by range (seq);

create function ledger.sum_of(p bigint[]) returns numeric language sql immutable strict parallel safe as
  $$ select coalesce(sum(x), 0) from unnest(p) x $$;

-- One row per entry of any other kind.
create table ledger.entry (
  seq       bigint primary key,
  kind      text not null check (kind in ('topup', 'settlement', 'noble', 'guard', 'fan_club', 'ticket', 'superchat', 'bump', 'booth', 'transfer',
              'promo', 'hold', 'capture', 'release', 'payout', 'refund', 'chargeback', 'clawback', 'write_off', 'adjustment', 'royalty', 'marker')),
  key       text not null unique,
  at        timestamptz not null,
  accounts  bigint[] not null,
  amounts   bigint[] not null,
  reference text not null default '',
  detail    jsonb not null default '{}',
  constraint entry_legs check (cardinality(accounts) = cardinality(amounts) and (cardinality(accounts) >= 2 or (kind = 'marker' and cardinality(accounts) = 0))
                               and array_position(accounts, null) is null and array_position(amounts, null) is null),
  constraint entry_sum_zero check (ledger.sum_of(amounts) = 0)
);

create function ledger.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'what is posted stays: % on %.% is refused', tg_op, tg_table_schema, tg_table_name using errcode = 'OV001';
end $$;
create trigger entry_is_final before update or delete on ledger.entry for each row execute function ledger.refuse_change();
create trigger entry_stays before truncate on ledger.entry execute function ledger.refuse_change();
create trigger rule_is_final before update or delete on ledger.split_rule for each row execute function ledger.refuse_change();
create trigger route_is_final before update or delete on ledger.route for each row execute function ledger.refuse_change();
create trigger gift_is_final before update or delete on ledger.gift for each row execute function ledger.refuse_change();

create table ledger.gift_leaf (
  name      text primary key,
  first_seq bigint not null unique,
  end_seq   bigint not null,
  closed_at timestamptz
);

-- Makes the next leaf, with its TRUNCATE guard (a parent's trigger does not fire for a partition) and its two unique indexes.
create function ledger.make_leaf(p_rows bigint default 5000000) returns text
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_first bigint;
  v_name text;
begin
  lock table gift_leaf in share row exclusive mode;
  select coalesce(max(end_seq), 1) into v_first from gift_leaf;
  v_name := 'gift_' || v_first;
  execute format('create table %I partition of gift for values from (%s) to (%s)', v_name, v_first, v_first + p_rows);
  execute format('create unique index on %I (seq)', v_name);
  execute format('create unique index on %I (key)', v_name);
  execute format('create trigger leaf_stays before truncate on %I execute function refuse_change()', v_name);
  execute format('grant select on %I to ovation_app', v_name);
  insert into gift_leaf values (v_name, v_first, v_first + p_rows);
  return v_name;
end $$;

-- Keeps one leaf ahead of the head, and gives closed leaves the indexes that statements want.
create function ledger.tend_leaves() returns int
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_made int := 0;
  v_leaf record;
begin
  while (select count(*) from gift_leaf where end_seq > (select seq from head) + 1) < 2 loop
    perform make_leaf();
    v_made := v_made + 1;
  end loop;
  for v_leaf in select name from gift_leaf l where closed_at is not null
      and not exists (select from pg_indexes i where i.schemaname = 'ledger' and i.indexname = l.name || '_payer') limit 1 loop
    execute format('create index %I on %I (payer, seq)', v_leaf.name || '_payer', v_leaf.name);
    execute format('create index %I on %I (route, seq)', v_leaf.name || '_route', v_leaf.name);
  end loop;
  return v_made;
end $$;
select ledger.tend_leaves();

-- Outcome of one command. The order is the precedence: the first that holds is the answer.
--  0 posted  1 replayed  2 key_reused  3 refused by the caller unless the key is known  4 invalid  5 unknown account
--  6 unknown route  7 insufficient coins  8 account frozen  9 spend limit
create type ledger.judged as (
  ord int, key uuid, payer bigint, route bigint, price bigint, item bigint, quantity int, room bigint, performance bigint,
  status smallint, seq bigint, running bigint, bonus bigint, gift_only bigint, paid bigint, room_left bigint, frozen boolean, contested boolean);

create function ledger.fence(p_epoch bigint) returns bigint
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare v_seq bigint;
begin
  update head set lease_until = clock_timestamp() + interval '3 seconds' where writer_epoch = p_epoch returning seq into v_seq;
  if not found then raise exception 'another writer has taken over' using errcode = 'OV002'; end if;
  return v_seq;
end $$;

-- Posts a batch of gifts in order. A refusal refuses only itself. Keys must be distinct within a batch (the queue sees to it).
create function ledger.post_gifts(p_epoch bigint, p_day date, p_oldest_key timestamptz, p_keys uuid[], p_payers bigint[], p_routes bigint[], p_prices bigint[],
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
  select coalesce(min(first_seq), 1) into v_min_seq from gift_leaf where closed_at is null or closed_at > p_oldest_key - interval '1 hour';

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

-- Posts one entry of another kind. Accounts by name, opened as needed.
create function ledger.post_entry(p_epoch bigint, p_kind text, p_key text, p_accounts text[], p_amounts bigint[], p_reference text, p_detail jsonb)
returns table (o_status smallint, o_seq bigint)
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_seq bigint := fence(p_epoch);
  v_old entry;
  v_ids bigint[];
begin
  select array_agg(open_account(n) order by o) into v_ids from unnest(p_accounts) with ordinality u (n, o);
  v_ids := coalesce(v_ids, '{}');
  select * into v_old from entry e where e.key = p_key;
  if found then
    return query select case when v_old.kind = p_kind and v_old.accounts = v_ids and v_old.amounts = p_amounts and v_old.reference = p_reference
                        then 1 else 2 end::smallint, v_old.seq;
    return;
  end if;
  if exists (select from (select id, sum(amount) as amount from unnest(v_ids, p_amounts) u (id, amount) group by id) l
             join balance b on b.account_id = l.id where b.floored and b.amount + l.amount < 0) then
    return query select 7::smallint, 0::bigint;
    return;
  end if;
  insert into entry (seq, kind, key, at, accounts, amounts, reference, detail)
    values (v_seq + 1, p_kind, p_key, now(), v_ids, p_amounts, p_reference, p_detail);
  update balance b set amount = b.amount + l.amount, version = b.version + l.n, as_of_seq = v_seq + 1
    from (select id, sum(amount)::bigint as amount, count(*) as n from unnest(v_ids, p_amounts) u (id, amount) group by id) l where b.account_id = l.id;
  update head set seq = v_seq + 1 where writer_epoch = p_epoch;
  update gift_leaf set closed_at = now() where closed_at is null and end_seq <= v_seq + 2;
  return query select 0::smallint, v_seq + 1;
end $$;

-- Takes the head: nobody else may hold it. null = somebody does, and his lease runs.
create function ledger.take_head(p_holder text) returns bigint
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_head head;
begin
  select * into v_head from head for update;
  if v_head.backend_pid is not null and v_head.backend_pid <> pg_backend_pid()
     and exists (select from pg_stat_get_activity(v_head.backend_pid) a where a.backend_start = v_head.backend_start) then
    if v_head.lease_until > clock_timestamp() then return null; end if;
    perform pg_terminate_backend(v_head.backend_pid);
  end if;
  update head set writer_epoch = v_head.writer_epoch + 1, holder = p_holder, backend_pid = pg_backend_pid(),
    backend_start = (select a.backend_start from pg_stat_get_activity(pg_backend_pid()) a), lease_until = clock_timestamp() + interval '3 seconds';
  return v_head.writer_epoch + 1;
end $$;
-- A statement of its own snapshot: where the head stands once this epoch holds it.
create function ledger.head_seq_after(p_epoch bigint) returns bigint
language plpgsql volatile security definer set search_path = ledger, pg_temp as $$
declare v_seq bigint;
begin
  select seq into v_seq from head where writer_epoch = p_epoch;
  return v_seq;
end $$;
create function ledger.release_head(p_epoch bigint) returns void
language sql security definer set search_path = ledger, pg_temp as $$
  update head set lease_until = clock_timestamp(), holder = null, backend_pid = null where writer_epoch = p_epoch;
$$;

-- Every posting, from both kinds of rows. Version and balance after follow from the order (seq, leg).
create view ledger.posting as
  select g.seq, l.leg::int, 'gift'::text as kind, g.key::text as key, g.at, l.account, l.amount
  from ledger.gift g join ledger.route t on t.id = g.route join ledger.wallet w on w.user_id = g.payer
  cross join lateral (values (0, w.bonus_account, -g.bonus), (1, w.gift_only_account, -g.gift_only), (2, w.wallet_account, -(g.price - g.bonus - g.gift_only)),
    (3, t.vat_account, g.vat), (4, t.rights_account, g.rights), (5, t.singer_account, g.singer), (6, t.agent_account, g.agent),
    (7, t.venue_account, g.venue), (8, t.platform_account, g.platform), (9, t.promo_account, g.promo)) as l (leg, account, amount)
  where l.amount <> 0
  union all
  select e.seq, (l.leg - 1)::int, e.kind, e.key, e.at, l.account, l.amount
  from ledger.entry e cross join lateral unnest(e.accounts, e.amounts) with ordinality as l (account, amount, leg);

create view ledger.posting_in_order as
  select p.*, a.name as account_name,
    row_number() over (partition by p.account order by p.seq, p.leg) as version,
    sum(p.amount) over (partition by p.account order by p.seq, p.leg) as balance_after
  from ledger.posting p join ledger.account a on a.id = p.account;

revoke execute on all functions in schema ledger from public;
grant execute on function ledger.open_wallet, ledger.set_daily_limit, ledger.intern_rule, ledger.intern_route, ledger.tend_leaves, ledger.fence,
  ledger.post_gifts, ledger.post_entry, ledger.take_head, ledger.head_seq_after, ledger.release_head to ovation_app;
grant select on all tables in schema ledger to ovation_app;
grant select on public.schema_migration to ovation_app;
create index entry_accounts on ledger.entry using gin (accounts);
