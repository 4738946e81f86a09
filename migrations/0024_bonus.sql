-- Bonus coins: granted by the house from promo, spent first, given back to promo when their time is over.
alter table payments.policy add column bonus_days int not null default 30 check (bonus_days > 0);
create or replace view payments.policy_now as select * from payments.policy where valid_from <= now() order by valid_from desc, id desc limit 1;
create table payments.bonus (
  id         bigint generated always as identity primary key,
  key        uuid not null unique,
  user_id    bigint not null references identity.users,
  coins      bigint not null check (coins > 0),
  actor_id   bigint not null,
  reason     text not null,
  granted_at timestamptz not null default now(),
  expires_at timestamptz not null,
  expired    bigint not null default 0 check (expired >= 0 and expired <= coins),  -- coins that went back
  over       boolean not null default false
);
create index bonus_of_user on payments.bonus (user_id, id);
create index bonus_running on payments.bonus (expires_at) where not over;
insert into payments.move values ('bonus', '', 'granted'), ('bonus', 'granted', 'expired'), ('bonus', 'expired', 'expired');
grant select, insert, update on payments.bonus to ovation_app;
-- What is left of a grant: the oldest are spent first, so what there is belongs to the newest.
create function payments.bonus_left(p_id bigint) returns bigint
language sql stable set search_path = payments, pg_temp as $$
  select least(b.coins, greatest(0, ledger.standing_of('bonus:' || b.user_id) / 10000
    - coalesce((select sum(n.coins - n.expired) from bonus n where n.user_id = b.user_id and n.id > b.id), 0)))::bigint
  from bonus b where b.id = p_id
$$;
create function payments.grant_bonus(p_key uuid, p_user bigint, p_coins bigint, p_actor bigint, p_reason text, out id bigint, out problem text)
language plpgsql set search_path = payments, pg_temp as $$
begin
  problem := '';
  select b.id, case when (b.user_id, b.coins) = (p_user, p_coins) then '' else 'key_reused' end into id, problem from bonus b where b.key = p_key;
  if found then return; end if;
  problem := '';
  if p_user = p_actor then problem := 'own_money'; return; end if;
  if not exists (select from ledger.coins c where c.user_id = p_user) then problem := 'not_found'; return; end if;
  insert into bonus (key, user_id, coins, actor_id, reason, expires_at) values (p_key, p_user, p_coins, p_actor, p_reason, now() + make_interval(days => (select bonus_days from policy_now))) returning bonus.id into id;
  perform add_step('bonus', id, '', 'granted', p_actor, true, p_reason, 'promo', array['promo', 'bonus:' || p_user], array[-p_coins * 10000, p_coins * 10000], 'bonus:' || id, '{}');
end $$;
-- One whose time is over; its step, null where nothing was left.
create function payments.expire_bonus(p_id bigint) returns bigint
language plpgsql set search_path = payments, pg_temp as $$
declare
  b bonus;
  v_left bigint;
begin
  select * into b from bonus where id = p_id and not over and expires_at <= now() for update;
  if not found or exists (select from bonus o where o.user_id = b.user_id and o.id < b.id and not o.over) then return null; end if;
  if exists (select from step s join bonus o on s.subject = 'bonus' and s.subject_id = o.id where o.user_id = b.user_id and s.entry_seq is null) then return null; end if;
  v_left := bonus_left(p_id);
  update bonus set over = true, expired = v_left where id = p_id;
  if v_left = 0 then return null; end if;
  return add_step('bonus', p_id, 'granted', 'expired', 0, false, 'its time is over', 'promo', array['bonus:' || b.user_id, 'promo'], array[-v_left * 10000, v_left * 10000], 'bonus:' || p_id, '{}');
end $$;
-- Spent while it expired: counted again.
create function payments.count_bonus(p_step bigint) returns void
language plpgsql set search_path = payments, pg_temp as $$
declare
  s step;
  b bonus;
  v_left bigint;
begin
  select * into s from step where id = p_step and entry_seq is null for update;
  if not found or exists (select from ledger.booked e where e.key = s.key) then return; end if;
  select * into strict b from bonus where id = s.subject_id for update;
  v_left := bonus_left(b.id);
  update bonus set expired = v_left where id = b.id;
  if v_left = 0 then
    delete from step where id = p_step;
  else
    update step set amounts = array[-v_left * 10000, v_left * 10000] where id = p_step;
  end if;
end $$;
-- What a reversed gift has brought back of grants that are over: more than the running ones can account for. Its step, or null.
create function payments.return_bonus(p_user bigint) returns bigint
language plpgsql set search_path = payments, pg_temp as $$
declare
  b bonus;
  v_more bigint;
  v_was text;
begin
  select * into b from bonus o where o.user_id = p_user and o.over order by o.id desc limit 1 for update;
  if not found or exists (select from step s join bonus o on s.subject = 'bonus' and s.subject_id = o.id where o.user_id = p_user and s.entry_seq is null) then return null; end if;
  v_more := ledger.standing_of('bonus:' || p_user) / 10000 - coalesce((select sum(o.coins) from bonus o where o.user_id = p_user and not o.over), 0);
  if v_more <= 0 then return null; end if;
  select s.state into v_was from step s where s.subject = 'bonus' and s.subject_id = b.id order by s.n desc limit 1;
  update bonus set expired = least(coins, expired + v_more) where id = b.id;
  return add_step('bonus', b.id, v_was, 'expired', 0, false, 'its time is over', 'promo', array['bonus:' || p_user, 'promo'], array[-v_more * 10000, v_more * 10000], 'bonus:' || b.id, '{}');
end $$;
revoke execute on function payments.return_bonus from public;
grant execute on function payments.return_bonus to ovation_app;
revoke execute on function payments.bonus_left, payments.grant_bonus, payments.expire_bonus, payments.count_bonus from public;
grant execute on function payments.bonus_left, payments.grant_bonus, payments.expire_bonus, payments.count_bonus to ovation_app;
