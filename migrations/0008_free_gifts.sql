-- Free gifts: one for ten minutes of listening, at most ten a day, counted here and never in the ledger.
alter table gifts.gift drop constraint gift_tier_check;
alter table gifts.gift add constraint gift_tier_check check (tier in ('free', 'rose', 'bouquet', 'star', 'monument'));
create or replace function gifts.tier_bounds() returns trigger language plpgsql as $$
declare v_tier text;
begin
  select tier into v_tier from gifts.gift where id = new.gift_id;
  if not (case v_tier when 'free' then new.price_coins = 0 when 'rose' then new.price_coins between 1 and 999 when 'bouquet' then new.price_coins between 1000 and 9999
          when 'star' then new.price_coins between 10000 and 20000 else new.price_coins between 20001 and 100000 end) then
    raise exception 'price_coins: % is outside the tier %', new.price_coins, v_tier;
  end if;
  return new;
end $$;
insert into gifts.gift (id, code, name_zh, name_en, tier, active) values (12, 'applause', '掌声', 'Applause', 'free', true);
insert into gifts.gift_version (gift_id, version, price_coins) values (12, 1, 0);
create table gifts.free_gift (
  user_id   bigint not null references identity.users,
  day       date not null,                                     -- tenant's zone
  earned    int not null check (earned between 0 and 10),
  used      int not null default 0,
  earned_at timestamptz not null default now(),
  primary key (user_id, day),
  check (used between 0 and earned)
);
create table gifts.free_send (
  id        bigint generated always as identity primary key,
  key       uuid not null unique,
  user_id   bigint not null references identity.users,
  gift_id   bigint not null references gifts.gift,
  room_id   bigint not null references rooms.room,
  singer_id bigint not null references identity.users,
  at        timestamptz not null default now()
);
grant select, insert, update on gifts.free_gift to ovation_app;
grant select, insert on gifts.free_send to ovation_app;
