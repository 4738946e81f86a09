-- A provider's file that is imported again settles what was credited since, as one more part of the same file: an order that had not
-- been credited when the file first came was never settled by it.
alter table payments.settlement add column part int not null default 1 check (part > 0);
alter table payments.settlement drop constraint settlement_provider_file_hash_key;
alter table payments.settlement add constraint settlement_part_key unique (provider, file_hash, part);
create or replace function payments.settle(p_provider text, p_hash text, p_orders bigint[], p_gross bigint[], p_fees bigint[], p_reference text, p_actor bigint, p_reason text, out id bigint, out problem text)
language plpgsql set search_path = payments, pg_temp as $$
declare
  v_part int;
  v_gross bigint;
  v_fee bigint;
begin
  problem := '';
  perform pg_advisory_xact_lock(hashtextextended('settlement:' || p_provider, 0));
  select s.id, s.part into id, v_part from settlement s where s.provider = p_provider and s.file_hash = p_hash order by s.part desc limit 1;
  create temporary table filed on commit drop as
    select distinct on (u.order_id) u.order_id, u.gross, u.fee from unnest(p_orders, p_gross, p_fees) u (order_id, gross, fee) join top_up t on t.id = u.order_id
    where t.provider = p_provider and t.state = 'paid' and t.price_minor = u.gross and u.fee between 0 and u.gross and not exists (select from settlement_item i where i.order_id = u.order_id);
  select coalesce(sum(gross), 0), coalesce(sum(fee), 0) into v_gross, v_fee from filed;
  if v_gross = 0 then
    if id is null then problem := 'nothing_agrees'; end if;
    return;
  end if;
  insert into settlement (provider, file_hash, part, bank_reference, gross_minor, fee_minor, actor_id) values (p_provider, p_hash, coalesce(v_part, 0) + 1, p_reference, v_gross, v_fee, p_actor)
    returning settlement.id into id;
  insert into settlement_item select order_id, settle.id, gross, fee from filed;
  drop table filed;
  perform add_step('settlement', id, '', 'settled', p_actor, true, p_reason, 'settlement', array['cash:' || p_provider, 'bank', 'provider_fees'], array[v_gross * 10000, -(v_gross - v_fee) * 10000, -v_fee * 10000],
    'settlement:' || id, jsonb_build_object('bank_reference', p_reference));
end $$;

-- What came back of grants that are over goes to the newest of them that has room for it, and no more of it than that: one grant took
-- it all, and its row held less than its step. The next sweep takes what is left.
create or replace function payments.return_bonus(p_user bigint) returns bigint
language plpgsql set search_path = payments, pg_temp as $$
declare
  b bonus;
  v_more bigint;
  v_was text;
begin
  select * into b from bonus o where o.user_id = p_user and o.over and o.expired < o.coins order by o.id desc limit 1 for update;
  if not found or exists (select from step s join bonus o on s.subject = 'bonus' and s.subject_id = o.id where o.user_id = p_user and s.entry_seq is null) then return null; end if;
  v_more := ledger.standing_of('bonus:' || p_user) / 10000 - coalesce((select sum(o.coins) from bonus o where o.user_id = p_user and not o.over), 0);
  v_more := least(v_more, b.coins - b.expired);
  if v_more <= 0 then return null; end if;
  select s.state into v_was from step s where s.subject = 'bonus' and s.subject_id = b.id order by s.n desc limit 1;
  update bonus set expired = expired + v_more where id = b.id;
  return add_step('bonus', b.id, v_was, 'expired', 0, false, 'its time is over', 'promo', array['bonus:' || p_user, 'promo'], array[-v_more * 10000, v_more * 10000], 'bonus:' || b.id, '{}');
end $$;
-- Spent before its step was posted: the step takes what there still is, and the row differs by as much. What earlier steps of the same
-- grant took stays.
create or replace function payments.count_bonus(p_step bigint) returns void
language plpgsql set search_path = payments, pg_temp as $$
declare
  s step;
  b bonus;
  v_had bigint;
  v_left bigint;
begin
  select * into s from step where id = p_step and entry_seq is null for update;
  if not found or s.state <> 'expired' or exists (select from ledger.booked e where e.key = s.key) then return; end if;
  select * into strict b from bonus where id = s.subject_id for update;
  v_had := s.amounts[2] / 10000;
  v_left := least(v_had, greatest(0, ledger.standing_of('bonus:' || b.user_id) / 10000 - coalesce((select sum(n.coins) from bonus n where n.user_id = b.user_id and not n.over), 0)));
  update bonus set expired = expired - v_had + v_left where id = b.id;
  if v_left = 0 then
    delete from step where id = p_step;
  else
    update step set amounts = array[-v_left * 10000, v_left * 10000] where id = p_step;
  end if;
end $$;
