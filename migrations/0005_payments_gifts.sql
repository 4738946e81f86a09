-- Coin packs and top-ups; the gift catalogue; boards.
create schema payments;
grant usage on schema payments to ovation_app;
create table payments.coin_pack (
  id          bigint primary key,
  coins       bigint not null check (coins > 0),
  price_minor bigint not null check (price_minor > 0),
  active      boolean not null default true
);
insert into payments.coin_pack (id, coins, price_minor)
  select row_number() over (order by cny), cny * 100, cny * 100 from unnest(array[6, 30, 98, 298, 648, 2000, 5000]::bigint[]) cny;
create table payments.top_up (
  id          bigint generated always as identity primary key,
  user_id     bigint not null references identity.users,
  key         uuid not null,
  pack_id     bigint not null references payments.coin_pack,
  provider    text not null check (provider in ('sandbox')),
  coins       bigint not null check (coins > 0),
  price_minor bigint not null check (price_minor > 0),
  currency    text not null default 'CNY',
  state       text not null default 'created' check (state in ('created', 'paid', 'failed')),
  entry_seq   bigint,
  created_at  timestamptz not null default now(),
  paid_at     timestamptz,
  unique (user_id, key),
  check ((state = 'paid') = (entry_seq is not null))
);
create index top_up_paid on payments.top_up (paid_at) where state = 'paid';
-- Raw notifications, stored before anything is believed of them.
create table payments.notification (
  provider    text not null,
  event_id    text not null,
  raw         bytea not null,
  received_at timestamptz not null default now(),
  done_at     timestamptz,
  outcome     text not null default '',
  primary key (provider, event_id)
);
grant select on payments.coin_pack to ovation_app;
grant select, insert, update on payments.top_up, payments.notification to ovation_app;

create schema gifts;
grant usage on schema gifts to ovation_app;
-- No probability anywhere: no paid randomness (rules.md section 2).
create table gifts.gift (
  id      bigint primary key,
  code    text not null unique,
  name_zh text not null,
  name_en text not null,
  tier    text not null check (tier in ('rose', 'bouquet', 'star', 'monument')),
  active  boolean not null default true
);
create table gifts.gift_version (
  id          bigint generated always as identity primary key,
  gift_id     bigint not null references gifts.gift,
  version     int not null,
  price_coins bigint not null,
  valid_from  timestamptz not null default now(),
  unique (gift_id, version)
);
create function gifts.tier_bounds() returns trigger language plpgsql as $$
declare v_tier text;
begin
  select tier into v_tier from gifts.gift where id = new.gift_id;
  if not (case v_tier when 'rose' then new.price_coins between 1 and 999 when 'bouquet' then new.price_coins between 1000 and 9999
          when 'star' then new.price_coins between 10000 and 20000 else new.price_coins between 20001 and 100000 end) then
    raise exception 'price_coins: % is outside the tier %', new.price_coins, v_tier;
  end if;
  return new;
end $$;
create trigger version_in_tier before insert on gifts.gift_version for each row execute function gifts.tier_bounds();
create trigger version_is_final before update or delete on gifts.gift_version for each row execute function ledger.refuse_change();

insert into gifts.gift (id, code, name_zh, name_en, tier, active) values
  (1, 'lantern', '灯笼', 'Lantern', 'rose', true), (2, 'rose', '玫瑰', 'Rose', 'rose', true), (3, 'milk_tea', '奶茶', 'Milk tea', 'rose', true),
  (4, 'crane', '纸鹤', 'Crane', 'rose', true), (5, 'bunch', '花束', 'Bouquet', 'rose', true), (6, 'fan', '折扇', 'Fan', 'bouquet', true),
  (7, 'spotlight', '追光', 'Spotlight', 'bouquet', true), (8, 'fireworks', '烟花', 'Fireworks', 'bouquet', true),
  (9, 'starfall', '流星', 'Starfall', 'star', true), (10, 'grand_stage', '大舞台', 'Grand stage', 'monument', false), (11, 'glow', '荧光棒', 'Glow stick', 'rose', true);
insert into gifts.gift_version (gift_id, version, price_coins)
  select * from (values (1, 1, 20), (2, 1, 100), (3, 1, 188), (4, 1, 520), (5, 1, 990), (6, 1, 1888), (7, 1, 3344), (8, 1, 5200), (9, 1, 13140), (10, 1, 52000), (11, 1, 1)) v;

-- One projection, its cursor in the same transaction. `coins` of a bucket; reached = the last sequence that changed it.
create table gifts.board_bucket (
  scope      smallint not null,      -- ovation.v1.BoardScope
  scope_id   bigint not null,
  subject    smallint not null,      -- ovation.v1.BoardSubject
  subject_id bigint not null,
  day        date not null,          -- tenant's zone
  coins      bigint not null,
  reached    bigint not null,
  primary key (scope, scope_id, subject, day, subject_id)
) with (fillfactor = 60);
create table gifts.board_cursor (one boolean primary key default true check (one), seq bigint not null default 0);
insert into gifts.board_cursor default values;
grant select on gifts.gift, gifts.gift_version to ovation_app;
grant select, insert, update, delete on gifts.board_bucket to ovation_app;
grant select, update on gifts.board_cursor to ovation_app;
