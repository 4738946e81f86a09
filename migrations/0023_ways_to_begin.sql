-- Payments that begin at the provider, bank transfers by reference, settlements.
alter table payments.top_up drop constraint top_up_provider_check;
alter table payments.top_up add constraint top_up_provider_check check (provider in ('sandbox', 'stripe', 'wechat_pay', 'alipay', 'bank_transfer'));
alter table payments.top_up add column provider_ref text not null default '';   -- the provider's name for it
alter table payments.top_up add column pay_url text not null default '';        -- where it is paid
alter table payments.top_up add column asked_at timestamptz;                    -- the provider was asked how it stands
create index top_up_open on payments.top_up (created_at) where state = 'created';

-- What a provider paid out, order by order; an order is settled once.
create table payments.settlement (
  id             bigint generated always as identity primary key,
  provider       text not null,
  file_hash      text not null,
  bank_reference text not null,
  gross_minor    bigint not null check (gross_minor >= 0),
  fee_minor      bigint not null check (fee_minor >= 0 and fee_minor <= gross_minor),
  actor_id       bigint not null,
  at             timestamptz not null default now(),
  unique (provider, file_hash)
);
-- Which booking of the bank paid for an order: the same in another file is the same, another one is another payment.
create table payments.bank_credit (order_id bigint primary key references payments.top_up, booking text not null);
grant select, insert on payments.bank_credit to ovation_app;
create table payments.settlement_item (
  order_id      bigint primary key references payments.top_up,
  settlement_id bigint not null references payments.settlement,
  gross_minor   bigint not null check (gross_minor > 0),
  fee_minor     bigint not null check (fee_minor >= 0)
);
insert into payments.move values ('settlement', '', 'settled');
grant select, insert on payments.settlement, payments.settlement_item to ovation_app;

-- Files what agrees; `problem`: nothing was written.
create function payments.settle(p_provider text, p_hash text, p_orders bigint[], p_gross bigint[], p_fees bigint[], p_reference text, p_actor bigint, p_reason text, out id bigint, out problem text)
language plpgsql set search_path = payments, pg_temp as $$
declare
  v_gross bigint;
  v_fee bigint;
begin
  problem := '';
  select s.id into id from settlement s where s.provider = p_provider and s.file_hash = p_hash;
  if found then return; end if;
  create temporary table filed on commit drop as
    select distinct on (u.order_id) u.order_id, u.gross, u.fee from unnest(p_orders, p_gross, p_fees) u (order_id, gross, fee) join top_up t on t.id = u.order_id
    where t.provider = p_provider and t.state = 'paid' and t.price_minor = u.gross and u.fee between 0 and u.gross and not exists (select from settlement_item i where i.order_id = u.order_id);
  select coalesce(sum(gross), 0), coalesce(sum(fee), 0) into v_gross, v_fee from filed;
  if v_gross = 0 then problem := 'nothing_agrees'; return; end if;
  insert into settlement (provider, file_hash, bank_reference, gross_minor, fee_minor, actor_id) values (p_provider, p_hash, p_reference, v_gross, v_fee, p_actor) returning settlement.id into id;
  insert into settlement_item select order_id, settle.id, gross, fee from filed;
  drop table filed;
  perform add_step('settlement', id, '', 'settled', p_actor, true, p_reason, 'settlement', array['cash:' || p_provider, 'bank', 'provider_fees'], array[v_gross * 10000, -(v_gross - v_fee) * 10000, -v_fee * 10000],
    'settlement:' || id, jsonb_build_object('bank_reference', p_reference));
end $$;
revoke execute on function payments.settle from public;
grant execute on function payments.settle to ovation_app;
