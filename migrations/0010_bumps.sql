-- Bumps of song requests: price and limit of a room, the record of each bump, and holds that count as spending.
alter table rooms.room
  add column bump_price_coins bigint not null default 0 check (bump_price_coins between 0 and 200000),   -- 0: not sold
  add column bumps_per_show int not null default 10 check (bumps_per_show between 0 and 1000);
-- What gifts/ may know of shows and performances: which are over, and how far the song went.
create view rooms.show_end as select id as show_id, ended_at from rooms.show where ended_at is not null;
create view rooms.performance_end as select id as performance_id, ended_at, song_position from rooms.performance where ended_at is not null;
grant select on rooms.show_end, rooms.performance_end to ovation_app;

-- intended: before the coins are held. refused: they never were. `decided` is written before the entry that closes the hold,
-- so that a bump that was cut short is finished in one way only.
create table gifts.bump (
  key            uuid primary key,
  user_id        bigint not null references identity.users,
  room_id        bigint not null references rooms.room,
  show_id        bigint not null references rooms.show,
  request_id     bigint not null,
  coins          bigint not null check (coins between 1 and 200000),
  state          text not null default 'intended' check (state in ('intended', 'refused', 'held', 'captured', 'released')),
  decided        text check (decided in ('capture', 'release')),
  performance_id bigint not null default 0,     -- where it is sung; 0: it waits
  route          bigint not null default 0,     -- ledger.route of that performance
  hold_seq       bigint,
  close_seq      bigint,
  at             timestamptz not null default now(),
  check ((hold_seq is null) = (state in ('intended', 'refused'))),
  check ((close_seq is null) = (state not in ('captured', 'released'))),
  check (state not in ('captured', 'released') or decided is not distinct from left(state, 7)),
  check (decided is distinct from 'capture' or route > 0)
);
create unique index one_bump_a_request on gifts.bump (show_id, request_id) where state in ('intended', 'held', 'captured');
create index bump_open on gifts.bump (at) where state in ('intended', 'held');
grant select, insert, update on gifts.bump to ovation_app;

-- ledger.post_entry as in 0001, and: a hold on a wallet is a spend. It is refused in the order of post_gifts (7, 8, 9), before any
-- account is opened, and counted; its release gives it back to the day on which it was counted.
create or replace function ledger.post_entry(p_epoch bigint, p_kind text, p_key text, p_accounts text[], p_amounts bigint[], p_reference text, p_detail jsonb)
returns table (o_status smallint, o_seq bigint)
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
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
           when case when w.raised_from <= now() then w.raised_limit else w.daily_limit end - coalesce(d.spent, 0) < l.price then 9
           else 0 end
    into v_payer, v_price, v_status
    from (select u.name, -sum(u.amount)::bigint as price from unnest(p_accounts, p_amounts) u (name, amount)
          where u.name like 'wallet:%' group by u.name having sum(u.amount) < 0) l
    left join account a on a.name = l.name
    left join wallet w on w.user_id = a.owner_id
    left join balance b on b.account_id = a.id
    left join daily_spend d on d.user_id = w.user_id and d.day = current_date
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
    insert into daily_spend as d (user_id, day, spent) values (v_payer, current_date, v_price)
      on conflict (user_id, day) do update set spent = d.spent + excluded.spent;
  end if;
  if p_kind = 'release' then
    -- The hold is the one entry of that kind on the account from which the coins come back.
    update daily_spend d set spent = d.spent - r.amount
    from (select a.owner_id, h.day, sum(u.amount)::bigint as amount
          from unnest(v_ids, p_amounts) u (id, amount) join account a on a.id = u.id and a.kind = 'wallet'
          cross join lateral (select (e.detail->>'day')::date as day from entry e
                              where e.kind = 'hold' and e.accounts @> (select array_agg(f.id) from unnest(v_ids, p_amounts) f (id, amount) where f.amount < 0)
                              order by e.seq limit 1) h
          where u.amount > 0 group by a.owner_id, h.day) r
    where d.user_id = r.owner_id and d.day = r.day;
  end if;
  insert into entry (seq, kind, key, at, accounts, amounts, reference, detail)
    values (v_seq + 1, p_kind, p_key, now(), v_ids, p_amounts, p_reference, case when v_spends then p_detail || jsonb_build_object('day', current_date) else p_detail end);
  update balance b set amount = b.amount + l.amount, version = b.version + l.n, as_of_seq = v_seq + 1
    from (select id, sum(amount)::bigint as amount, count(*) as n from unnest(v_ids, p_amounts) u (id, amount) group by id) l where b.account_id = l.id;
  update head set seq = v_seq + 1 where writer_epoch = p_epoch;
  update gift_leaf set closed_at = now() where closed_at is null and end_seq <= v_seq + 2;
  return query select 0::smallint, v_seq + 1;
end $$;
