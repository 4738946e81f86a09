-- The resident writer (ledger/resident_writer.hpp): balances in memory, their rows a checkpoint written behind, gifts inserted into
-- the hot leaf by the application's role itself, and one Merkle tree over all entries. docs/decisions/0007.
alter table ledger.head
  add column checkpoint_seq bigint not null default 0,                  -- every posting up to here is in the rows of balance and daily_spend
  add column time_zone text not null default 'UTC',                     -- of the days of daily_spend, as the last writer counted them
  add column tree_seq bigint not null default 0,                        -- the tree stands over the first so many entries
  add column tree_root bytea not null default sha256(''),
  add constraint head_order check (checkpoint_seq <= seq and tree_seq <= seq);
update ledger.head set checkpoint_seq = seq;
alter table ledger.daily_spend add column as_of_seq bigint not null default 0;
-- Salts of the tree's leaves: erasing one leaves the tree as it is and makes the leaf unguessable. A gift's follows from its wallet's.
alter table ledger.wallet add column salt bytea not null default uuid_send(gen_random_uuid());
alter table ledger.entry add column salt bytea not null default uuid_send(gen_random_uuid());
-- The tree's inner state where the checkpoint stands, so that a start hashes only what came later.
create table ledger.tree_state (one boolean primary key default true check (one), seq bigint not null, frontier bytea not null);
insert into ledger.tree_state (seq, frontier) values (0, '');

-- Which wallets changed otherwise than by postings (frozen, limits), in the order of the commits: the row lock makes it one.
create table ledger.limits_version (one boolean primary key default true check (one), n bigint not null default 0);
insert into ledger.limits_version default values;
create table ledger.limit_change (n bigint primary key, user_id bigint not null);
create function ledger.note_limit_change() returns trigger
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare v_n bigint;
begin
  update limits_version set n = n + 1 returning n into v_n;
  insert into limit_change values (v_n, new.user_id);
  return null;
end $$;
create trigger limits_are_told after update on ledger.wallet for each row when (old is distinct from new) execute function ledger.note_limit_change();

-- Extends the commit order by p_count, or raises: another writer (OV002), limits that the writer has not seen (OV003), clocks too far apart (OV004).
-- It comes first in a batch's transaction, whose rows follow.
create function ledger.advance(p_epoch bigint, p_from bigint, p_count bigint, p_saved bigint, p_limits bigint, p_at bigint, p_root bytea, p_frontier bytea, p_close boolean)
returns void
language plpgsql security definer set search_path = ledger, pg_temp as $$
begin
  update head set seq = p_from + p_count, checkpoint_seq = greatest(checkpoint_seq, p_saved), tree_seq = p_from + p_count, tree_root = p_root, lease_until = clock_timestamp() + interval '3 seconds'
    where writer_epoch = p_epoch and seq = p_from;
  if not found then raise exception 'another writer has taken over' using errcode = 'OV002'; end if;
  if p_limits is not null then
    if (select n from limits_version) <> p_limits then raise exception 'limits have changed' using errcode = 'OV003'; end if;
    if abs(extract(epoch from clock_timestamp()) * 1000000 - p_at) > 5000000 then raise exception 'the clocks are apart' using errcode = 'OV004'; end if;
  end if;
  if p_frontier is not null then update tree_state set seq = p_from + p_count, frontier = p_frontier; end if;
  if p_close then update gift_leaf set closed_at = now() where closed_at is null and end_seq <= p_from + p_count + 1; end if;
end $$;

-- Rows of the checkpoint: true as of p_as_of. Older truths do not overwrite newer ones.
create function ledger.save(p_accounts bigint[], p_amounts bigint[], p_versions bigint[], p_as_of bigint) returns void
language plpgsql security definer set search_path = ledger, pg_temp as $$
begin
  update balance b set amount = u.amount, version = u.version, as_of_seq = p_as_of
  from unnest(p_accounts, p_amounts, p_versions) u (account, amount, version) where b.account_id = u.account and b.as_of_seq <= p_as_of;
end $$;
create function ledger.save_spend(p_users bigint[], p_days date[], p_spents bigint[], p_as_of bigint) returns void
language plpgsql security definer set search_path = ledger, pg_temp as $$
begin
  insert into daily_spend as d (user_id, day, spent, as_of_seq) select u.user_id, u.day, u.spent, p_as_of from unnest(p_users, p_days, p_spents) u (user_id, day, spent)
  on conflict (user_id, day) do update set spent = excluded.spent, as_of_seq = excluded.as_of_seq where d.as_of_seq <= excluded.as_of_seq;
end $$;
-- What a released hold gives back to a day that is over.
create function ledger.give_back(p_user bigint, p_day date, p_amount bigint, p_as_of bigint) returns void
language plpgsql security definer set search_path = ledger, pg_temp as $$
begin
  update daily_spend set spent = spent - p_amount, as_of_seq = p_as_of where user_id = p_user and day = p_day;
end $$;
create function ledger.add_entries(p_seqs bigint[], p_kinds text[], p_keys text[], p_at bigint, p_accounts text[], p_amounts text[], p_references text[], p_details text[], p_salts text[])
returns void
language plpgsql security definer set search_path = ledger, pg_temp as $$
begin
  insert into entry (seq, kind, key, at, accounts, amounts, reference, detail, salt)
  select u.seq, u.kind, u.key, timestamptz 'epoch' + p_at * interval '1 microsecond', u.accounts::bigint[], u.amounts::bigint[], u.reference, u.detail::jsonb, decode(u.salt, 'hex')
  from unnest(p_seqs, p_kinds, p_keys, p_accounts, p_amounts, p_references, p_details, p_salts) u (seq, kind, key, accounts, amounts, reference, detail, salt);
end $$;
create function ledger.open_accounts(p_names text[]) returns void
language sql security definer set search_path = ledger, pg_temp as $$
  select open_account(n) from unnest(p_names) n
$$;

-- Gifts that the rows of one account do not have yet.
create function ledger.unsaved_on(p_account bigint, p_as_of bigint) returns table (amount bigint, n bigint)
language sql stable set search_path = ledger, pg_temp as $$
  select coalesce(sum(l.amount), 0)::bigint, count(*)
  from gift g join route t on t.id = g.route join wallet w on w.user_id = g.payer
  cross join lateral (values (w.bonus_account, -g.bonus), (w.gift_only_account, -g.gift_only), (w.wallet_account, -(g.price - g.bonus - g.gift_only)),
    (t.vat_account, g.vat), (t.rights_account, g.rights), (t.singer_account, g.singer), (t.agent_account, g.agent),
    (t.venue_account, g.venue), (t.platform_account, g.platform), (t.promo_account, g.promo)) as l (account, amount)
  where g.seq > greatest(p_as_of, (select checkpoint_seq from head)) and l.account = p_account and l.amount <> 0
$$;
-- The same for all accounts.
create view ledger.unsaved as
  select l.account, sum(l.amount)::bigint as amount, count(*) as n
  from ledger.gift g join ledger.route t on t.id = g.route join ledger.wallet w on w.user_id = g.payer
  cross join lateral (values (w.bonus_account, -g.bonus), (w.gift_only_account, -g.gift_only), (w.wallet_account, -(g.price - g.bonus - g.gift_only)),
    (t.vat_account, g.vat), (t.rights_account, g.rights), (t.singer_account, g.singer), (t.agent_account, g.agent),
    (t.venue_account, g.venue), (t.platform_account, g.platform), (t.promo_account, g.promo)) as l (account, amount)
  join ledger.balance b on b.account_id = l.account
  where g.seq > (select checkpoint_seq from ledger.head) and g.seq > b.as_of_seq and l.amount <> 0
  group by l.account;
-- What each account has now, whatever is still unsaved. For all accounts at once, and (quick by account_id) for single ones.
create view ledger.standings as
  select b.account_id, b.floored, b.whole_coins, (b.amount + coalesce(u.amount, 0))::bigint as amount, (b.version + coalesce(u.n, 0))::bigint as version
  from ledger.balance b left join ledger.unsaved u on u.account = b.account_id;
create view ledger.standing as
  select b.account_id, b.floored, b.whole_coins, b.amount + u.amount as amount, b.version + u.n as version
  from ledger.balance b cross join lateral ledger.unsaved_on(b.account_id, b.as_of_seq) u;
create or replace view ledger.coins as
  select w.user_id, (p.amount - u.paid)::bigint as wallet, (g.amount - u.gift_only)::bigint as gift_only, (b.amount - u.bonus)::bigint as bonus
  from ledger.wallet w join ledger.balance p on p.account_id = w.wallet_account join ledger.balance g on g.account_id = w.gift_only_account
    join ledger.balance b on b.account_id = w.bonus_account
    cross join lateral (
      select coalesce(sum(x.price - x.bonus - x.gift_only) filter (where x.seq > p.as_of_seq), 0) as paid, coalesce(sum(x.gift_only) filter (where x.seq > g.as_of_seq), 0) as gift_only,
        coalesce(sum(x.bonus) filter (where x.seq > b.as_of_seq), 0) as bonus
      from ledger.gift x where x.payer = w.user_id and x.seq > (select checkpoint_seq from ledger.head)) u;
-- Days' spending, with what is unsaved.
create view ledger.spent as
  select coalesce(d.user_id, u.payer) as user_id, coalesce(d.day, u.day) as day, (coalesce(d.spent, 0) + coalesce(u.spent, 0))::bigint as spent
  from ledger.daily_spend d full join (
    select g.payer, t.day, sum(g.price) as spent
    from ledger.gift g cross join lateral (select (g.at at time zone (select time_zone from ledger.head))::date as day) t
    left join ledger.daily_spend o on o.user_id = g.payer and o.day = t.day
    where g.seq > (select checkpoint_seq from ledger.head) and g.seq > coalesce(o.as_of_seq, 0) group by g.payer, t.day
  ) u on u.payer = d.user_id and u.day = d.day;

-- Brings the rows up to the head: at a change of writers, and before the set-based functions post, which count on the rows.
create function ledger.catch_up(p_epoch bigint) returns void
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare v_head head;
begin
  select * into v_head from head where writer_epoch = p_epoch for update;
  if not found then raise exception 'another writer has taken over' using errcode = 'OV002'; end if;
  if v_head.checkpoint_seq = v_head.seq then
    update head set time_zone = current_setting('timezone') where time_zone <> current_setting('timezone');
    return;
  end if;
  insert into daily_spend (user_id, day, spent, as_of_seq)
    select s.user_id, s.day, s.spent, v_head.seq from spent s left join daily_spend o on o.user_id = s.user_id and o.day = s.day
    where s.spent is distinct from o.spent
    on conflict (user_id, day) do update set spent = excluded.spent, as_of_seq = excluded.as_of_seq;
  update balance b set amount = b.amount + u.amount, version = b.version + u.n, as_of_seq = v_head.seq from unsaved u where b.account_id = u.account;
  update head set checkpoint_seq = seq, time_zone = current_setting('timezone');
end $$;
-- After the set-based functions, which write the rows themselves.
create function ledger.all_saved(p_epoch bigint) returns void
language sql security definer set search_path = ledger, pg_temp as $$
  update head set checkpoint_seq = seq where writer_epoch = p_epoch
$$;

-- Making the next leaf is quick; a closed leaf's late indexes are not, and take a call of their own.
create or replace function ledger.make_leaf(p_rows bigint default 5000000) returns text
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
  execute format('grant select, insert on %I to ovation_app', v_name);
  insert into gift_leaf values (v_name, v_first, v_first + p_rows);
  return v_name;
end $$;
create or replace function ledger.tend_leaves() returns int
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare v_made int := 0;
begin
  while (select count(*) from gift_leaf where end_seq > (select seq from head) + 1) < 3 loop
    perform make_leaf();
    v_made := v_made + 1;
  end loop;
  delete from limit_change where n < (select n from limits_version) - 100000;
  return v_made;
end $$;
create function ledger.index_leaf() returns text
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare v_leaf text;
begin
  select name into v_leaf from gift_leaf l where closed_at is not null
    and not exists (select from pg_indexes i where i.schemaname = 'ledger' and i.indexname = l.name || '_payer') order by first_seq limit 1;
  if v_leaf is null then return null; end if;
  execute format('create index %I on %I (payer, seq)', v_leaf || '_payer', v_leaf);
  execute format('create index %I on %I (route, seq)', v_leaf || '_route', v_leaf);
  return v_leaf;
end $$;
do $$ declare l record; begin
  for l in select name from ledger.gift_leaf loop execute format('grant insert on ledger.%I to ovation_app', l.name); end loop;
end $$;
grant insert on ledger.gift to ovation_app;

revoke execute on all functions in schema ledger from public;
grant execute on function ledger.advance, ledger.save, ledger.save_spend, ledger.give_back, ledger.add_entries, ledger.open_accounts, ledger.unsaved_on, ledger.catch_up,
  ledger.all_saved, ledger.tend_leaves, ledger.index_leaf to ovation_app;
grant select on ledger.unsaved, ledger.standings, ledger.standing, ledger.coins, ledger.spent, ledger.limits_version, ledger.limit_change, ledger.tree_state, ledger.gift_leaf to ovation_app;
