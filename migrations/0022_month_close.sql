-- A month is closed by a marker in the order of the entries; what is corrected later is dated later.
create table ledger.closed_month (
  month      date primary key check (extract(day from month) = 1),
  marker_seq bigint not null unique,
  last_seq   bigint not null            -- the month's last entry
);
create trigger closed_month_is_final before update or delete on ledger.closed_month for each row execute function ledger.refuse_change();
create trigger closed_months_stay before truncate on ledger.closed_month execute function ledger.refuse_change();
create function ledger.note_closed_month() returns trigger
language plpgsql security definer set search_path = ledger, pg_temp as $$
begin
  insert into closed_month values ((new.detail->>'month')::date, new.seq, (new.detail->>'last_seq')::bigint);
  return null;
end $$;
create trigger month_is_closed after insert on ledger.entry for each row when (new.kind = 'marker' and new.reference like 'month_close:%') execute function ledger.note_closed_month();
-- Entries may be dated back (`effective` in their detail), but not into a closed month.
create function ledger.check_effective() returns trigger
language plpgsql set search_path = ledger, pg_temp as $$
begin
  if (new.detail->>'effective')::date > (new.at at time zone (select time_zone from head))::date then
    raise exception 'effective % is later than the entry', new.detail->>'effective' using errcode = 'OV005';
  end if;
  if exists (select from closed_month where month = date_trunc('month', (new.detail->>'effective')::date)) then
    raise exception 'the month of % is closed', new.detail->>'effective' using errcode = 'OV005';
  end if;
  return new;
end $$;
create trigger effective_in_open_month before insert on ledger.entry for each row when (new.detail ? 'effective') execute function ledger.check_effective();

-- The last entry before a moment: times follow the numbers.
create function ledger.seq_before(p_moment timestamptz) returns bigint
language plpgsql stable set search_path = ledger, pg_temp as $$
declare
  v_low bigint := 0;
  v_high bigint := (select seq from head) + 1;
  v_middle bigint;
  v_at timestamptz;
begin
  while v_high - v_low > 1 loop
    v_middle := (v_low + v_high) / 2;
    select at into v_at from gift where seq = v_middle;
    if not found then select at into v_at from entry where seq = v_middle; end if;
    if v_at < p_moment then v_low := v_middle; else v_high := v_middle; end if;
  end loop;
  return v_low;
end $$;
-- What was posted between two numbers, by account; accounts of users under their kind.
create function ledger.moved_between(p_after bigint, p_last bigint) returns table (account text, opening numeric, debits numeric, credits numeric, closing numeric)
language sql stable set search_path = ledger, pg_temp as $$
  select case when a.kind in ('wallet', 'gift_only', 'bonus', 'earnings', 'receivable', 'held', 'escrow') then a.kind || ':*' else a.name end,
    coalesce(sum(p.amount) filter (where p.seq <= p_after), 0), coalesce(-sum(p.amount) filter (where p.seq > p_after and p.amount < 0), 0),
    coalesce(sum(p.amount) filter (where p.seq > p_after and p.amount > 0), 0), sum(p.amount)
  from posting p join account a on a.id = p.account where p.seq <= p_last group by 1
$$;
-- VAT by day and rate: of gifts, and of what was taken back.
create function ledger.vat_between(p_after bigint, p_last bigint, p_zone text) returns table (day date, vat_bp int, what text, entries bigint, price numeric, vat numeric)
language sql stable set search_path = ledger, pg_temp as $$
  select (g.at at time zone p_zone)::date, r.vat_bp, 'gifts', count(*), sum(g.price - g.bonus), sum(g.vat)
  from gift g join route t on t.id = g.route join split_rule r on r.id = t.rule_id where g.seq > p_after and g.seq <= p_last group by 1, 2
  union all
  select (e.at at time zone p_zone)::date, null, e.kind, count(*), null, sum(u.amount)
  from entry e cross join lateral unnest(e.accounts, e.amounts) u (account, amount) join account a on a.id = u.account and a.name = 'vat'
  where e.seq > p_after and e.seq <= p_last group by 1, 3
  order by 1, 2
$$;
-- What moved on one account, entry by entry (not gifts).
create function ledger.lines_of(p_name text, p_after bigint, p_last bigint) returns table (seq bigint, at timestamptz, kind text, reference text, detail jsonb, amount bigint)
language sql stable set search_path = ledger, pg_temp as $$
  select e.seq, e.at, e.kind, e.reference, e.detail, u.amount from account a join entry e on e.accounts @> array[a.id] cross join lateral unnest(e.accounts, e.amounts) u (account, amount)
  where a.name = p_name and u.account = a.id and e.seq > p_after and e.seq <= p_last order by e.seq
$$;
create function ledger.balance_at(p_name text, p_last bigint) returns bigint
language sql stable set search_path = ledger, pg_temp as $$
  select coalesce(sum(p.amount), 0)::bigint from posting p where p.account = (select id from account where name = p_name) and p.seq <= p_last
$$;
-- What was posted to an account behind a number; what of it is dated back to a day or before it.
create function ledger.moved_since(p_account bigint, p_after bigint) returns table (amount bigint, n bigint)
language sql stable set search_path = ledger, pg_temp as $$
  select coalesce(sum(x.amount), 0)::bigint, count(*) from (
    select l.amount from gift g join route t on t.id = g.route join wallet w on w.user_id = g.payer
    cross join lateral (values (w.bonus_account, -g.bonus), (w.gift_only_account, -g.gift_only), (w.wallet_account, -(g.price - g.bonus - g.gift_only)),
      (t.vat_account, g.vat), (t.rights_account, g.rights), (t.singer_account, g.singer), (t.agent_account, g.agent),
      (t.venue_account, g.venue), (t.platform_account, g.platform), (t.promo_account, g.promo)) as l (account, amount)
    where g.seq > p_after and l.account = p_account and l.amount <> 0
    union all
    select u.amount from entry e cross join lateral unnest(e.accounts, e.amounts) u (account, amount) where e.accounts @> array[p_account] and e.seq > p_after and u.account = p_account
  ) x
$$;
create function ledger.dated_back(p_account bigint, p_after bigint, p_day date) returns bigint
language sql stable set search_path = ledger, pg_temp as $$
  select coalesce(sum(u.amount), 0)::bigint from entry e cross join lateral unnest(e.accounts, e.amounts) u (account, amount)
  where e.accounts @> array[p_account] and e.seq > p_after and u.account = p_account and e.detail ? 'effective' and (e.detail->>'effective')::date <= p_day
$$;
revoke execute on function ledger.moved_since, ledger.dated_back from public;
grant execute on function ledger.moved_since, ledger.dated_back to ovation_app;
revoke execute on function ledger.note_closed_month, ledger.check_effective, ledger.seq_before, ledger.moved_between, ledger.vat_between, ledger.lines_of, ledger.balance_at from public;
grant execute on function ledger.check_effective, ledger.seq_before, ledger.moved_between, ledger.vat_between, ledger.lines_of, ledger.balance_at to ovation_app;
grant select on ledger.closed_month to ovation_app;
create view ledger.zone as select time_zone as zone from ledger.head;
grant select on ledger.zone to ovation_app;
create view ledger.closed_months as select month, marker_seq, last_seq from ledger.closed_month;
grant select on ledger.closed_months to ovation_app;

-- The day of a gift, or today when its month is closed.
create function payments.effective_day(p_seq bigint) returns date
language sql stable set search_path = payments, pg_temp as $$
  select case when exists (select from ledger.closed_months c where c.month = date_trunc('month', g.day)) then (now() at time zone z.zone)::date else g.day end
  from ledger.zone z cross join lateral (select (x.at at time zone z.zone)::date as day from ledger.given x where x.seq = p_seq) g
$$;
revoke execute on function payments.effective_day from public;
grant execute on function payments.effective_day to ovation_app;

insert into payments.move values ('month_close', '', 'closed');
create table payments.month_close (
  month    date primary key,
  actor_id bigint not null,
  reason   text not null,
  at       timestamptz not null default now()
);
grant select, insert on payments.month_close to ovation_app;
-- Months are closed in their order, when they are over; closed again it is the same marker.
create function payments.close_month(p_month date, p_zone text, p_actor bigint, p_reason text, out id bigint, out problem text)
language plpgsql set search_path = payments, pg_temp as $$
declare
  v_end timestamptz := ((p_month + interval '1 month')::timestamp at time zone p_zone);
  v_first date;
begin
  problem := '';
  id := extract(year from p_month) * 100 + extract(month from p_month);
  perform pg_advisory_xact_lock(hashtext('payments.month_close'));
  if exists (select from month_close m where m.month = p_month) then return; end if;
  if now() < v_end + interval '1 minute' then problem := 'not_over'; return; end if;
  if exists (select from month_close m where m.month > p_month) then problem := 'later_is_closed'; return; end if;
  select date_trunc('month', b.at at time zone p_zone)::date into v_first from ledger.booked b where b.seq = 1;
  if exists (select from generate_series(greatest(v_first, (select max(m.month) + interval '1 month' from month_close m)::date), p_month - interval '1 month', interval '1 month')) then problem := 'earlier_first'; return; end if;
  insert into month_close values (p_month, p_actor, p_reason);
  perform add_step('month_close', id, '', 'closed', p_actor, true, p_reason, 'marker', '{}', '{}', 'month_close:' || to_char(p_month, 'YYYY-MM'),
    jsonb_build_object('month', p_month, 'last_seq', ledger.seq_before(v_end)));
end $$;
revoke execute on function payments.close_month from public;
grant execute on function payments.close_month to ovation_app;
