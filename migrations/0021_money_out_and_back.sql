-- Money out and money back: policy, payees, payouts, withholding; cases, receivables. Every change of state is a step, and every step
-- that moves money (and each of a payout) carries the entry that is to be posted: written down first, in the same transaction.

alter table ledger.entry drop constraint entry_kind_check;
alter table ledger.entry add constraint entry_kind_check check (kind in ('topup', 'settlement', 'noble', 'guard', 'fan_club', 'ticket', 'superchat', 'bump', 'booth',
  'transfer', 'promo', 'hold', 'capture', 'release', 'payout', 'refund', 'chargeback', 'clawback', 'write_off', 'adjustment', 'royalty', 'marker',
  'payout_requested', 'payout_risk_review', 'payout_approved', 'payout_tax_computed', 'payout_submitted', 'payout_in_transit', 'payout_paid', 'payout_returned',
  'payout_failed', 'payout_rejected', 'payout_cancelled', 'payout_held', 'payout_resumed',
  'chargeback_opened', 'chargeback_responded', 'chargeback_won', 'chargeback_lost', 'case_opened', 'case_upheld', 'case_dismissed'));
alter table ledger.entry drop constraint entry_legs;
alter table ledger.entry add constraint entry_legs check (cardinality(accounts) = cardinality(amounts)
  and (cardinality(accounts) >= 2 or (cardinality(accounts) = 0 and (kind in ('marker', 'chargeback_responded', 'case_opened', 'case_dismissed') or kind like 'payout\_%')))
  and array_position(accounts, null) is null and array_position(amounts, null) is null);
-- A gift is reversed once, whatever the case is called.
create unique index entry_reverses_once on ledger.entry (((detail->>'reverses')::bigint)) where detail ? 'reverses';
create index entry_taken_lot on ledger.entry (((detail->>'taken_lot')::bigint)) where detail ? 'taken_lot';

-- What reached an account of earnings after a moment: gifts and other sales, not what only came back.
create function ledger.earned_since(p_account bigint, p_since timestamptz) returns bigint
language sql stable set search_path = ledger, pg_temp as $$
  select (coalesce((
      select sum(l.amount) from gift g join route t on t.id = g.route
      cross join lateral (values (t.rights_account, g.rights), (t.singer_account, g.singer), (t.agent_account, g.agent), (t.venue_account, g.venue)) l (account, amount)
      where g.seq >= (select coalesce(min(first_seq), 1) from gift_leaf where closed_at is null or closed_at > p_since) and g.at > p_since and l.account = p_account
        and not exists (select from entry r where (r.detail->>'reverses')::bigint = g.seq and r.detail ? 'reverses')), 0)
    + coalesce((
      select sum(u.amount) from entry e cross join lateral unnest(e.accounts, e.amounts) u (account, amount)
      where e.accounts @> array[p_account] and e.at > p_since and u.account = p_account and u.amount > 0
        and e.kind in ('capture', 'superchat', 'bump', 'ticket', 'noble', 'guard', 'fan_club', 'booth', 'transfer', 'royalty')), 0))::bigint
$$;
create index entry_parts on ledger.entry (((detail->>'payer')::bigint)) where detail ? 'parts';
-- A wallet's spending in order: each spend lies at [low, high) of all that was ever spent and stands. What was given back, and what cases
-- have taken (`parts` of their entries; taken from the lot as well), is out of the order.
create function ledger.spends(p_user bigint) returns table (seq bigint, is_gift boolean, paid bigint, low bigint, high bigint)
language sql stable set search_path = ledger, pg_temp as $$
  with parts as (
    select t.key::bigint as seq, sum(t.value::bigint) as taken from entry e cross join lateral jsonb_each_text(e.detail->'parts') t
    where e.detail ? 'parts' and (e.detail->>'payer')::bigint = p_user group by 1
  )
  select s.seq, s.is_gift, s.paid, (sum(s.paid) over (order by s.seq) - s.paid)::bigint, (sum(s.paid) over (order by s.seq))::bigint
  from (select a.seq, a.is_gift, (a.paid - coalesce(p.taken, 0))::bigint as paid from (
    select g.seq, true as is_gift, g.price - g.bonus - g.gift_only as paid from gift g
    where g.payer = p_user and g.price > g.bonus + g.gift_only and not exists (select from entry r where (r.detail->>'reverses')::bigint = g.seq and r.detail ? 'reverses')
    union all
    select e.seq, false, -u.amount from wallet w join entry e on e.accounts @> array[w.wallet_account] cross join lateral unnest(e.accounts, e.amounts) u (account, amount)
    where w.user_id = p_user and u.account = w.wallet_account and u.amount < 0 and not e.detail ? 'taken_lot'
      and not (e.kind = 'hold' and exists (select from entry r where r.kind = 'release'
        and r.accounts @> (select array_agg(x.account) from unnest(e.accounts, e.amounts) x (account, amount) where x.amount > 0)))
  ) a left join parts p on p.seq = a.seq) s where s.paid > 0
$$;
-- Coins that are held, for a bump say, and neither captured nor released.
create function ledger.holds_coins(p_user bigint) returns boolean
language sql stable set search_path = ledger, pg_temp as $$
  select exists (
    select from wallet w join entry e on e.kind = 'hold' and e.accounts @> array[w.wallet_account]
    where w.user_id = p_user and not exists (select from entry r where r.kind in ('release', 'capture')
      and r.accounts @> (select array_agg(x.account) from unnest(e.accounts, e.amounts) x (account, amount) where x.amount > 0)))
$$;
revoke execute on function ledger.holds_coins from public;
grant execute on function ledger.holds_coins to ovation_app;
-- A wallet's lots, oldest first: which part [low, high) of all spending each of them pays for, and what is left of it.
create function ledger.lots(p_user bigint)
returns table (seq bigint, at timestamptz, reference text, detail jsonb, amount bigint, taken bigint, low bigint, high bigint, rest bigint)
language sql stable set search_path = ledger, pg_temp as $$
  with l as (
    select e.seq, e.at, e.reference, e.detail, u.amount, coalesce((
      select sum((x.detail->>'taken')::bigint) from entry x where x.detail ? 'taken_lot' and (x.detail->>'taken_lot')::bigint = e.seq), 0)::bigint as taken
    from wallet w join entry e on e.accounts @> array[w.wallet_account] cross join lateral unnest(e.accounts, e.amounts) u (account, amount)
    where w.user_id = p_user and u.account = w.wallet_account and u.amount > 0 and e.kind in ('topup', 'transfer', 'adjustment')
  ), c as (select l.*, sum(l.amount - l.taken) over (order by l.seq)::bigint as high from l)
  select c.seq, c.at, c.reference, c.detail, c.amount, c.taken, c.high - (c.amount - c.taken), c.high,
    least(greatest(c.high - (select coalesce(sum(s.paid), 0) from spends(p_user) s), 0), c.amount - c.taken)::bigint
  from c order by c.seq
$$;
-- Who got what of a spend, by account; of a hold, by its capture.
create function ledger.shares_of(p_seq bigint) returns table (account text, amount bigint)
language sql stable set search_path = ledger, pg_temp as $$
  select a.name, sum(x.amount)::bigint from (
    select l.account, l.amount from gift g join route t on t.id = g.route
    cross join lateral (values (t.vat_account, g.vat), (t.rights_account, g.rights), (t.singer_account, g.singer), (t.agent_account, g.agent),
      (t.venue_account, g.venue), (t.platform_account, g.platform)) l (account, amount) where g.seq = p_seq
    union all
    select u.account, u.amount from entry e cross join lateral unnest(e.accounts, e.amounts) u (account, amount) where e.seq = p_seq and e.kind <> 'hold' and u.amount > 0
    union all
    select u.account, u.amount from entry e join entry c on c.kind = 'capture'
      and c.accounts @> (select array_agg(x.account) from unnest(e.accounts, e.amounts) x (account, amount) where x.amount > 0)
    cross join lateral unnest(c.accounts, c.amounts) u (account, amount) where e.seq = p_seq and e.kind = 'hold' and u.amount > 0
  ) x join account a on a.id = x.account where x.amount <> 0 group by a.name
$$;
-- What each party owed after an entry, by the entry that it comes from: what was recovered by then paid for the oldest first.
create function ledger.owed_at(p_last bigint) returns table (name text, seq bigint, at timestamptz, rest bigint)
language sql stable set search_path = ledger, pg_temp as $$
  with moves as (
    select a.name, e.seq, e.at, -u.amount as amount from account a join entry e on e.accounts @> array[a.id] cross join lateral unnest(e.accounts, e.amounts) u (account, amount)
    where a.kind = 'receivable' and u.account = a.id and e.seq <= p_last
  ), owed as (
    select m.name, m.seq, m.at, m.amount, sum(m.amount) over (partition by m.name order by m.seq) as high,
      (select coalesce(-sum(p.amount), 0) from moves p where p.name = m.name and p.amount < 0) as recovered
    from moves m where m.amount > 0
  )
  select name, seq, at, least(greatest(high - recovered, 0), amount)::bigint from owed where high > recovered
$$;
revoke execute on function ledger.owed_at from public;
grant execute on function ledger.owed_at to ovation_app;
create view ledger.receivables as select o.* from ledger.head h cross join lateral ledger.owed_at(h.seq) o;
create view ledger.given_whole as select seq, price, bonus, gift_only, promo from ledger.gift;
grant select on ledger.given_whole to ovation_app;
-- What entries took back of gifts, and when.
create view ledger.given_back as
  select e.seq, e.at, t.key::bigint as gift, t.value::bigint as micros from ledger.entry e cross join lateral jsonb_each_text(e.detail->'took') t where e.detail ? 'took';
create function ledger.standing_of(p_name text) returns bigint
language sql stable set search_path = ledger, pg_temp as $$
  select coalesce((select s.amount from standing s join account a on a.id = s.account_id where a.name = p_name), 0)::bigint
$$;
create function ledger.set_frozen(p_user bigint, p_frozen boolean) returns void
language sql security definer set search_path = ledger, pg_temp as $$
  update wallet set frozen = p_frozen where user_id = p_user and frozen <> p_frozen
$$;
create function ledger.is_frozen(p_user bigint) returns boolean
language sql stable set search_path = ledger, pg_temp as $$ select coalesce((select frozen from wallet where user_id = p_user), false) $$;
-- Whether the entry stands in the statement of this user.
create function ledger.is_of(p_seq bigint, p_user bigint) returns boolean
language sql stable set search_path = ledger, pg_temp as $$
  select exists (select from gift g join route r on r.id = g.route where g.seq = p_seq and (g.payer = p_user
      or exists (select from account a where a.owner_id = p_user and a.id in (r.singer_account, r.agent_account, r.venue_account, r.rights_account))))
    or exists (select from entry e join account a on a.owner_id = p_user and e.accounts @> array[a.id] where e.seq = p_seq)
$$;
revoke execute on function ledger.is_frozen, ledger.is_of from public;
grant execute on function ledger.is_frozen, ledger.is_of to ovation_app;
revoke execute on function ledger.earned_since, ledger.spends, ledger.lots, ledger.shares_of, ledger.standing_of, ledger.set_frozen from public;
grant execute on function ledger.earned_since, ledger.spends, ledger.lots, ledger.shares_of, ledger.standing_of, ledger.set_frozen to ovation_app;
grant select on ledger.receivables, ledger.given_back to ovation_app;

-- Defaults of rules.md sections 8 and 9; a new row takes the place of the older from its moment on.
create table payments.policy (
  id                      bigint generated always as identity primary key,
  valid_from              timestamptz not null default now(),
  threshold_minor         bigint not null default 10000 check (threshold_minor > 0),
  maturity_days           int not null default 7 check (maturity_days >= 0),
  run_day                 int not null default 15 check (run_day between 1 and 28),
  two_persons_above_minor bigint not null default 2000000 check (two_persons_above_minor >= 0),
  payee_hold_hours        int not null default 72 check (payee_hold_hours >= 0),
  recover_bp              int not null default 5000 check (recover_bp between 0 and 5000),
  write_off_days          int not null default 180 check (write_off_days >= 0),
  refund_days             int not null default 7 check (refund_days >= 0),
  answer_days             int not null default 7 check (answer_days > 0),      -- of a chargeback, of a question
  minor_days              int not null default 15 check (minor_days > 0),
  dispute_rate_alarm_bp   int not null default 75 check (dispute_rate_alarm_bp > 0)
);
insert into payments.policy default values;
create trigger policy_is_final before update or delete on payments.policy for each row execute function ledger.refuse_change();
create view payments.policy_now as select * from payments.policy where valid_from <= now() order by valid_from desc, id desc limit 1;

create table payments.tax_scheme (
  name          text primary key,
  income_bp     int not null check (income_bp between 0 and 10000),   -- of the income is taxed
  monthly_minor bigint not null check (monthly_minor >= 0)            -- less so much a month
);
create table payments.tax_bracket (
  scheme      text not null references payments.tax_scheme,
  valid_from  date not null,
  above_minor bigint not null check (above_minor >= 0),
  rate_bp     int not null check (rate_bp between 0 and 10000),
  quick_minor bigint not null check (quick_minor >= 0),
  primary key (scheme, valid_from, above_minor)
);
insert into payments.tax_scheme values ('cn_labour', 8000, 500000), ('none', 0, 0);
insert into payments.tax_bracket select 'cn_labour', '2000-01-01', above * 100, rate, quick * 100 from (values (0, 300, 0), (36000, 1000, 2520), (144000, 2000, 16920),
  (300000, 2500, 31920), (420000, 3000, 52920), (660000, 3500, 85920), (960000, 4500, 181920)) b (above, rate, quick);
-- The tax on a year so far: of `p_income`, within `p_months` months. Half a fen is rounded up.
create function payments.tax_of_year(p_scheme text, p_day date, p_income bigint, p_months int, out taxable bigint, out rate_bp int, out quick_minor bigint, out tax bigint)
language plpgsql stable set search_path = payments, pg_temp as $$
begin
  select greatest(0, p_income * s.income_bp / 10000 - s.monthly_minor * p_months) into strict taxable from tax_scheme s where s.name = p_scheme;
  select b.rate_bp, b.quick_minor into rate_bp, quick_minor from tax_bracket b
    where b.scheme = p_scheme and b.above_minor < taxable and b.valid_from = (select max(v.valid_from) from tax_bracket v where v.scheme = p_scheme and v.valid_from <= p_day)
    order by b.above_minor desc limit 1;
  rate_bp := coalesce(rate_bp, 0);
  quick_minor := coalesce(quick_minor, 0);
  tax := greatest(0, round(taxable * rate_bp / 10000.0) - quick_minor);
end $$;

create table payments.payee (
  user_id     bigint primary key references identity.users,
  version     int not null default 1,
  method      text not null check (method in ('bank', 'alipay', 'wechat_pay')),
  holder      text not null check (char_length(holder) between 2 and 80),
  account     text not null check (char_length(account) between 4 and 40),
  bank        text not null default '' check (char_length(bank) <= 40),
  tax_scheme  text not null references payments.tax_scheme,
  changed_at  timestamptz not null default now(),
  verified_at timestamptz,
  verified_by bigint,
  refused     text not null default ''
);
create table payments.payout_batch (
  id       bigint generated always as identity primary key,
  key      uuid not null unique,
  actor_id bigint not null,
  at       timestamptz not null default now()
);
create table payments.payout (
  id              bigint generated always as identity primary key,
  user_id         bigint not null references payments.payee,
  key             uuid not null,
  asked_minor     bigint not null check (asked_minor >= 0),    -- 0: all that was there
  origin          text not null check (origin in ('demand', 'monthly')),
  day             date not null,                               -- in the tenant's zone
  state           text not null,
  gross_minor     bigint not null check (gross_minor > 0),
  recovered_minor bigint not null default 0 check (recovered_minor >= 0),
  withheld_minor  bigint not null default 0 check (withheld_minor >= 0),
  net_minor       bigint not null default 0 check (net_minor >= 0),
  needs           int not null check (needs in (1, 2)),        -- persons
  payee_version   int,                                         -- as approved
  attempt         int not null default 0,
  held_from       text,
  held_until      timestamptz,
  created_at      timestamptz not null default now(),
  unique (user_id, key),
  check (net_minor = 0 or net_minor = gross_minor - recovered_minor - withheld_minor),
  check ((state = 'held') = (held_from is not null))
);
create unique index payout_once_a_day on payments.payout (user_id, day) where origin = 'demand' and state not in ('rejected', 'cancelled', 'failed');
create index payout_open on payments.payout (state, id) where state not in ('paid', 'rejected', 'cancelled', 'failed', 'returned');
create table payments.payout_run (month date primary key, at timestamptz not null default now(), payouts int not null);
-- What was sent to the bank: one line for each attempt, as it was sent.
create table payments.payout_item (
  batch_id  bigint not null references payments.payout_batch,
  payout_id bigint not null references payments.payout,
  attempt   int not null,
  net_minor bigint not null check (net_minor > 0),
  method    text not null,
  holder    text not null,
  account   text not null,
  bank      text not null,
  primary key (payout_id, attempt)
);
-- The register: what came in and what was withheld; a reversal is a line with the signs turned.
create table payments.withholding (
  payout_id      bigint not null references payments.payout,
  reversal       boolean not null default false,
  user_id        bigint not null,
  scheme         text not null references payments.tax_scheme,
  year           int not null,
  month          int not null check (month between 1 and 12),
  income_minor   bigint not null,
  withheld_minor bigint not null,
  year_income    bigint not null,
  year_months    int not null,
  taxable        bigint not null,
  rate_bp        int not null,
  quick_minor    bigint not null,
  before_minor   bigint not null,
  at             timestamptz not null default now(),
  primary key (payout_id, reversal)
);
create index withholding_of_year on payments.withholding (user_id, year);

create table payments.money_case (
  id           bigint generated always as identity primary key,
  key          uuid not null unique,
  kind         text not null check (kind in ('unspent', 'gift', 'chargeback', 'minor', 'fraud', 'question')),
  state        text not null,
  user_id      bigint not null references identity.users,
  order_id     bigint references payments.top_up,
  lot_seq      bigint,
  entry_seq    bigint,
  amount       bigint not null default 0 check (amount >= 0),   -- micros
  rest         bigint not null default 0 check (rest >= 0 and rest <= amount),
  provider     text not null default '',
  provider_ref text not null default '',
  fee_minor    bigint not null default 0 check (fee_minor >= 0),
  reason       text not null,
  opened_by    bigint not null,
  opened_at    timestamptz not null default now(),
  deadline_at  timestamptz,
  closed_at    timestamptz,
  check ((kind in ('unspent', 'chargeback', 'minor')) = (order_id is not null)),
  check ((state in ('won', 'lost', 'upheld', 'dismissed')) = (closed_at is not null))
);
-- One case about a top-up at a time, and none after it was lost; a rest that was refunded leaves room for a chargeback of what was spent.
create unique index one_case_an_order on payments.money_case (order_id) where order_id is not null and kind <> 'unspent' and state not in ('won', 'dismissed');
-- A gift is reversed by one case.
create unique index one_case_a_gift on payments.money_case (entry_seq) where kind in ('gift', 'fraud') and state <> 'dismissed';
create index case_open on payments.money_case (deadline_at) where closed_at is null;
create index case_of_user on payments.money_case (user_id, id);
-- What a case takes back of which spend: no coin of a gift twice.
create table payments.case_part (
  case_id bigint not null references payments.money_case,
  seq     bigint not null,
  part    int8multirange not null, -- micros of the paid part of the spend; which of them is free is taken in their order
  active  boolean not null default true,
  shares  jsonb not null default '{}',
  primary key (case_id, seq),
  exclude using gist (seq with =, part with &&) where (active)
);
create table payments.case_share (
  case_id bigint not null references payments.money_case,
  account text not null,
  micros  bigint not null check (micros >= 0 or account = 'platform'),   -- which bears the rounding of parts
  held    bigint not null default 0 check (held >= 0 and held <= greatest(micros, 0)),
  primary key (case_id, account)
);
create table payments.evidence (
  id      bigint generated always as identity primary key,
  case_id bigint not null references payments.money_case,
  at      timestamptz not null default now(),
  by_user bigint not null,
  text    text not null check (char_length(text) between 3 and 4000)
);
create index evidence_of_case on payments.evidence (case_id, id);
create trigger evidence_is_final before update or delete on payments.evidence for each row execute function ledger.refuse_change();
-- What a party is told.
create table payments.notice (
  id      bigint generated always as identity primary key,
  user_id bigint not null references identity.users,
  at      timestamptz not null default now(),
  what    text not null,
  case_id bigint references payments.money_case,
  amount  bigint not null,
  reason  text not null
);
create index notice_of_user on payments.notice (user_id, id);

-- Which state follows which.
create table payments.move (subject text, was text, state text, primary key (subject, was, state));
insert into payments.move select 'payout', w, s from (values ('', 'requested'), ('requested', 'risk_review'), ('risk_review', 'approved'), ('approved', 'tax_computed'), ('tax_computed', 'submitted'),
  ('submitted', 'in_transit'), ('submitted', 'tax_computed'), ('submitted', 'failed'), ('in_transit', 'paid'), ('in_transit', 'failed'), ('paid', 'returned'),
  ('risk_review', 'rejected'), ('approved', 'rejected'), ('tax_computed', 'rejected'), ('held', 'rejected'),
  ('requested', 'cancelled'), ('risk_review', 'cancelled'), ('approved', 'cancelled'), ('tax_computed', 'cancelled'), ('held', 'cancelled'),
  ('risk_review', 'held'), ('approved', 'held'), ('tax_computed', 'held'), ('held', 'risk_review'), ('held', 'approved'), ('held', 'tax_computed')) m (w, s);
insert into payments.move select 'chargeback', w, s from (values ('', 'needs_response'), ('needs_response', 'under_review'), ('needs_response', 'lost'), ('needs_response', 'won'),
  ('under_review', 'won'), ('under_review', 'lost')) m (w, s);
insert into payments.move select k, w, s from (values ('minor'), ('fraud'), ('question')) k (k), (values ('', 'open'), ('open', 'upheld'), ('open', 'dismissed')) m (w, s);
insert into payments.move values ('unspent', '', 'upheld'), ('gift', '', 'upheld'), ('write_off', '', 'written_off');
create table payments.step (
  id         bigint generated always as identity primary key,
  subject    text not null,             -- payout, or the kind of a case
  subject_id bigint not null,
  n          int not null,
  was        text not null,
  state      text not null,
  actor_id   bigint not null,           -- 0: by itself
  reason     text not null,
  at         timestamptz not null default now(),
  kind       text,                      -- of the entry; null: it has none
  key        text not null unique,
  accounts   text[] not null default '{}',
  amounts    bigint[] not null default '{}',
  reference  text not null,
  detail     jsonb not null default '{}',
  entry_seq  bigint,
  unique (subject, subject_id, n),
  foreign key (subject, was, state) references payments.move,
  check (cardinality(accounts) = cardinality(amounts)),
  check (kind is not null or entry_seq is null)
);
create index step_unposted on payments.step (id) where kind is not null and entry_seq is null;
-- A posted step stays as it is; one that is not yet posted may be counted anew.
create function payments.keep_posted() returns trigger language plpgsql as $$
begin
  raise exception 'what is posted stays: % on payments.step is refused', tg_op using errcode = 'OV001';
end $$;
create trigger step_is_final before update or delete on payments.step for each row when (old.entry_seq is not null) execute function payments.keep_posted();
create table payments.approval (
  subject    text not null,
  subject_id bigint not null,
  actor_id   bigint not null,
  reason     text not null,
  at         timestamptz not null default now(),
  primary key (subject, subject_id, actor_id)
);

-- Writes a step down, with the line of the audit trail when the house acts. Legs of nought are left out.
create function payments.add_step(p_subject text, p_id bigint, p_was text, p_state text, p_actor bigint, p_house boolean, p_reason text, p_kind text, p_accounts text[], p_amounts bigint[],
  p_reference text, p_detail jsonb) returns bigint
language plpgsql set search_path = payments, pg_temp as $$
declare
  v_n int;
  v_id bigint;
begin
  select coalesce(max(n), 0) + 1 into v_n from step where subject = p_subject and subject_id = p_id;
  insert into step (subject, subject_id, n, was, state, actor_id, reason, kind, key, accounts, amounts, reference, detail)
    select p_subject, p_id, v_n, p_was, p_state, p_actor, p_reason, p_kind, p_subject || ':' || p_id || ':' || v_n,
      coalesce(array_agg(l.account order by l.i) filter (where l.amount <> 0), '{}'), coalesce(array_agg(l.amount order by l.i) filter (where l.amount <> 0), '{}'), p_reference, p_detail
    from unnest(p_accounts, p_amounts) with ordinality l (account, amount, i) returning id into v_id;
  if p_house then
    perform identity.add_audit(p_actor, p_subject || '_' || p_state, p_subject || ':' || p_id, p_reason, jsonb_build_object('state', p_was), jsonb_build_object('state', p_state));
  end if;
  return v_id;
end $$;

-- What a party can ask for. Requests that are written down and not yet posted count as taken.
create function payments.payable(p_user bigint, out earnings bigint, out maturing bigint, out available_minor bigint, out owed bigint)
language plpgsql stable set search_path = payments, pg_temp as $$
declare v_asked bigint;
begin
  earnings := ledger.standing_of('earnings:' || p_user);
  maturing := least(greatest(earnings, 0), coalesce((select ledger.earned_since(a.id, now() - make_interval(days => (select maturity_days from policy_now))) from ledger.account a where a.name = 'earnings:' || p_user), 0));
  -- Shares that a case holds or has taken are not waited for.
  maturing := greatest(0, maturing - coalesce((select sum((t.shares->>('earnings:' || p_user))::bigint) from case_part t join money_case c on c.id = t.case_id join ledger.given g on g.seq = t.seq
    where t.active and t.shares ? ('earnings:' || p_user) and g.at > now() - make_interval(days => (select maturity_days from policy_now)) and (c.kind in ('chargeback', 'minor') or c.kind = 'fraud' and c.closed_at is null)), 0));
  select coalesce(sum(p.gross_minor), 0) into v_asked from payout p join step s on s.subject = 'payout' and s.subject_id = p.id and s.state = 'requested' and s.entry_seq is null where p.user_id = p_user;
  available_minor := greatest(0, (earnings - maturing) / 10000 - v_asked);
  owed := greatest(0, -ledger.standing_of('receivable:' || p_user));
end $$;

-- `problem`: nothing was written.
create function payments.request_payout(p_user bigint, p_key uuid, p_asked bigint, p_origin text, p_day date, out id bigint, out problem text, out figure bigint)
language plpgsql set search_path = payments, pg_temp as $$
declare
  v_policy policy_now;
  v_available bigint;
  v_gross bigint;
begin
  problem := '';
  perform from payee where user_id = p_user for update;
  if not found then problem := 'no_payee'; return; end if;
  select p.id, case when p.asked_minor = p_asked then '' else 'key_reused' end into id, problem from payout p where p.user_id = p_user and p.key = p_key;
  if found then return; end if;
  problem := '';
  select * into v_policy from policy_now;
  if p_origin = 'demand' and exists (select from payout p where p.user_id = p_user and p.day = p_day and p.origin = 'demand' and p.state not in ('rejected', 'cancelled', 'failed')) then
    problem := 'once_a_day';
    return;
  end if;
  select available_minor into v_available from payable(p_user);
  v_gross := case when p_asked = 0 then v_available else p_asked end;
  if v_gross > v_available then problem := 'not_available'; figure := v_available; return; end if;
  if v_gross < v_policy.threshold_minor then problem := 'below_threshold'; figure := v_policy.threshold_minor; return; end if;
  insert into payout (user_id, key, asked_minor, origin, day, state, gross_minor, needs)
    values (p_user, p_key, p_asked, p_origin, p_day, 'requested', v_gross, case when v_gross > v_policy.two_persons_above_minor then 2 else 1 end) returning payout.id into id;
  perform add_step('payout', id, '', 'requested', p_user, false, p_origin, 'payout_requested', array['earnings:' || p_user, 'held:payout_' || id], array[-v_gross * 10000, v_gross * 10000],
    'payout:' || id, jsonb_build_object('gross_minor', v_gross));
end $$;

-- From one of the states `p_from` into `p_to`, with the legs that this takes; null: it stood elsewhere.
create function payments.move_payout(p_id bigint, p_from text[], p_to text, p_actor bigint, p_house boolean, p_reason text, p_until timestamptz default null) returns bigint
language plpgsql set search_path = payments, pg_temp as $$
declare
  p payout;
  v_was text;
  v_at text;      -- where the money lies
  v_accounts text[] := '{}';
  v_amounts bigint[] := '{}';
  v_kind text := 'payout_' || p_to;
begin
  select * into p from payout where id = p_id and state = any (p_from) for update;
  if not found then return null; end if;
  v_was := p.state;
  v_at := coalesce(p.held_from, p.state);
  if p_to in ('rejected', 'cancelled', 'failed', 'returned') then
    if v_at in ('requested', 'risk_review', 'approved') then
      v_accounts := array['held:payout_' || p.id, 'earnings:' || p.user_id];
      v_amounts := array[-p.gross_minor, p.gross_minor];
    else
      v_accounts := array[case when p_to = 'returned' then 'bank' else 'payout_transit' end, 'withholding', 'receivable:' || p.user_id, 'earnings:' || p.user_id];
      v_amounts := array[-p.net_minor, -p.withheld_minor, -p.recovered_minor, p.gross_minor];
      insert into withholding select payout_id, true, user_id, scheme, year, month, -income_minor, -withheld_minor, year_income, year_months, taxable, rate_bp, quick_minor, before_minor, now()
        from withholding where payout_id = p_id and not reversal;
    end if;
  elsif p_to = 'paid' then
    v_accounts := array['payout_transit', 'bank'];
    v_amounts := array[-p.net_minor, p.net_minor];
  elsif v_was = 'held' then
    v_kind := 'payout_resumed';
  elsif v_was = 'submitted' and p_to = 'tax_computed' then
    v_kind := 'payout_resumed';
  end if;
  update payout set state = p_to, held_from = case when p_to = 'held' then v_was end, held_until = case when p_to = 'held' then p_until end,
    payee_version = case when p_to = 'approved' then (select version from payee where user_id = p.user_id) else payee_version end
    where id = p_id;
  return add_step('payout', p_id, v_was, p_to, p_actor, p_house, p_reason, v_kind, v_accounts, (select coalesce(array_agg(a * 10000 order by i), '{}') from unnest(v_amounts) with ordinality u (a, i)),
    'payout:' || p_id, jsonb_build_object('attempt', p.attempt));
end $$;

-- What the year so far looks like with `p_income` more.
create function payments.tax_now(p_user bigint, p_scheme text, p_day date, p_income bigint,
  out year int, out months int, out income bigint, out taxable bigint, out rate_bp int, out quick_minor bigint, out before_minor bigint, out withheld bigint)
language plpgsql stable strict set search_path = payments, pg_temp as $$
declare v_tax bigint;
begin
  year := extract(year from p_day);
  select coalesce(sum(w.income_minor), 0) + p_income, coalesce(sum(w.withheld_minor), 0), extract(month from p_day)::int - coalesce(min(w.month) filter (where not w.reversal
      and not exists (select from withholding r where r.payout_id = w.payout_id and r.reversal)), extract(month from p_day)::int) + 1
    into income, before_minor, months from withholding w where w.user_id = p_user and w.scheme = p_scheme and w.year = tax_now.year;
  select t.taxable, t.rate_bp, t.quick_minor, t.tax into taxable, rate_bp, quick_minor, v_tax from tax_of_year(p_scheme, p_day, income, months) t;
  withheld := least(p_income, greatest(0, v_tax - before_minor));
end $$;

-- Of an approved payout: what is owed is recovered, the rest taxed. One after another for each payee.
create function payments.compute_tax(p_id bigint, p_day date) returns bigint
language plpgsql set search_path = payments, pg_temp as $$
declare
  p payout;
  v_payee payee;
  v_owed bigint;
  v_recovered bigint;
  v record;
begin
  select y.* into v_payee from payee y join payout o on o.user_id = y.user_id where o.id = p_id for update of y;
  select * into p from payout where id = p_id and state = 'approved' for update;
  if not found then return null; end if;
  perform pg_advisory_xact_lock(hashtextextended('payments.receivable:' || p.user_id, 0));
  select greatest(0, -ledger.standing_of('receivable:' || p.user_id) / 10000 - coalesce(sum(o.recovered_minor), 0)
      - coalesce((select sum(w.amount) from write_off w join step x on x.subject = 'write_off' and x.subject_id = w.id where w.account = 'receivable:' || p.user_id and x.entry_seq is null), 0) / 10000) into v_owed
    from payout o join step s on s.subject = 'payout' and s.subject_id = o.id and s.state = 'tax_computed' and s.entry_seq is null where o.user_id = p.user_id;
  v_recovered := least(v_owed, p.gross_minor * (select recover_bp from policy_now) / 10000);
  select * into v from tax_now(p.user_id, v_payee.tax_scheme, p_day, p.gross_minor - v_recovered);
  insert into withholding (payout_id, user_id, scheme, year, month, income_minor, withheld_minor, year_income, year_months, taxable, rate_bp, quick_minor, before_minor)
    values (p_id, p.user_id, v_payee.tax_scheme, v.year, extract(month from p_day), p.gross_minor - v_recovered, v.withheld, v.income, v.months, v.taxable, v.rate_bp, v.quick_minor, v.before_minor);
  update payout set state = 'tax_computed', recovered_minor = v_recovered, withheld_minor = v.withheld, net_minor = p.gross_minor - v_recovered - v.withheld where id = p_id;
  return add_step('payout', p_id, 'approved', 'tax_computed', 0, false, '', 'payout_tax_computed',
    array['held:payout_' || p_id, 'receivable:' || p.user_id, 'withholding', 'payout_transit'],
    array[-p.gross_minor * 10000, v_recovered * 10000, v.withheld * 10000, (p.gross_minor - v_recovered - v.withheld) * 10000],
    'payout:' || p_id, jsonb_build_object('income_minor', p.gross_minor - v_recovered, 'withheld_minor', v.withheld, 'recovered_minor', v_recovered));
end $$;

-- Into the bank's file goes what is taxed and whose payee is verified and stands for long enough; the others are held.
create function payments.submit_payouts(p_key uuid, p_actor bigint, p_reason text) returns bigint
language plpgsql set search_path = payments, pg_temp as $$
declare
  v_batch bigint;
  v_hours int := (select payee_hold_hours from policy_now);
  v record;
begin
  insert into payout_batch (key, actor_id) values (p_key, p_actor) on conflict do nothing returning id into v_batch;
  if v_batch is null then return (select id from payout_batch where key = p_key); end if;
  for v in select o.id, o.net_minor, o.attempt, y.*, y.verified_at is null or (y.version > 1 and y.changed_at + make_interval(hours => v_hours) > now()) as waits
      from payout o join payee y on y.user_id = o.user_id where o.state = 'tax_computed' and o.net_minor > 0 order by o.id for update of o loop
    if v.waits then
      perform move_payout(v.id, array['tax_computed'], 'held', 0, false, 'payee_changed', v.changed_at + make_interval(hours => v_hours));
    else
      update payout set attempt = v.attempt + 1 where id = v.id;
      perform move_payout(v.id, array['tax_computed'], 'submitted', p_actor, true, p_reason);
      insert into payout_item values (v_batch, v.id, v.attempt + 1, v.net_minor, v.method, v.holder, v.account, v.bank);
    end if;
  end loop;
  return v_batch;
end $$;

-- Everybody who may be paid, once a month.
create function payments.monthly_run(p_day date) returns int
language plpgsql set search_path = payments, pg_temp as $$
declare
  v_made int := 0;
  v record;
begin
  if extract(day from p_day) < (select run_day from policy_now) then return null; end if;
  insert into payout_run values (date_trunc('month', p_day), now(), 0) on conflict do nothing;
  if not found then return null; end if;
  for v in select y.user_id from payee y where y.verified_at is not null order by y.user_id loop
    if (select problem from request_payout(v.user_id, md5('run:' || date_trunc('month', p_day)::date || ':' || v.user_id)::uuid, 0, 'monthly', p_day)) = '' then v_made := v_made + 1; end if;
  end loop;
  update payout_run set payouts = v_made where month = date_trunc('month', p_day);
  return v_made;
end $$;

-- Cases. What the payer's side gets, and what each party loses of the spends that the case is about.
create function payments.size_of(p int8multirange) returns bigint language sql immutable as $$ select coalesce(sum(upper(r) - lower(r)), 0)::bigint from unnest(p) r $$;
-- The first p_size of what is free.
create function payments.first_of(p_free int8multirange, p_size bigint) returns int8multirange
language plpgsql immutable as $$
declare
  v_out int8multirange := '{}';
  v_left bigint := p_size;
  r int8range;
begin
  for r in select x from unnest(p_free) x order by lower(x) loop
    exit when v_left = 0;
    v_out := v_out + int8multirange(int8range(lower(r), least(upper(r), lower(r) + v_left)));
    v_left := v_left - least(upper(r) - lower(r), v_left);
  end loop;
  return v_out;
end $$;
create function payments.find_parts(p_case bigint) returns void
language plpgsql set search_path = payments, pg_temp as $$
declare
  c money_case;
  v record;
  v_found bigint := 0;
begin
  select * into strict c from money_case where id = p_case;
  delete from case_part where case_id = p_case;
  delete from case_share where case_id = p_case;
  if c.order_id is not null then
    -- Lot and spends in one statement: one snapshot of the books.
    for v in
      select l.rest, l.high - l.low as whole, s.seq, least(s.high, l.high) - greatest(s.low, l.low) as size, x.paid
      from ledger.lots(c.user_id) l left join ledger.spends(c.user_id) s on s.low < l.high and s.high > l.low
      left join lateral (select coalesce((select g.price - g.bonus - g.gift_only from ledger.given_whole g where g.seq = s.seq),
        s.paid + (select coalesce(sum(size_of(o.part)), 0) from case_part o where o.seq = s.seq and o.active))::bigint as paid) x on true
      where l.seq = c.lot_seq
    loop
      update money_case set rest = v.rest, amount = case when kind = 'unspent' then v.rest else v.whole end where id = p_case;
      exit when c.kind = 'unspent' or v.seq is null;
      insert into case_part (case_id, seq, part) select p_case, v.seq, first_of(int8multirange(int8range(0, v.paid))
        - coalesce((select range_agg(o.part) from case_part o where o.seq = v.seq and o.active), '{}'::int8multirange), v.size);
      if (select size_of(t.part) from case_part t where t.case_id = p_case and t.seq = v.seq) < v.size then
        raise exception 'another case is about gift %', v.seq using errcode = '23P01';
      end if;
      v_found := v_found + v.size;
    end loop;
    if c.kind = 'unspent' then return; end if;
    if (select amount - rest from money_case where id = p_case) <> v_found then raise exception 'case %: rest and parts are not its amount', p_case; end if;
  else
    select g.price, g.promo into v from ledger.gift g where g.seq = c.entry_seq;
    update money_case set amount = v.price where id = p_case;
    insert into case_part (case_id, seq, part) select p_case, c.entry_seq, int8multirange(int8range(0, v.price - v.promo)) where v.price > v.promo;
  end if;
  -- Of a part [a, b): the difference of two floors for each party, what is left for the platform: parts of one gift add up to its legs.
  update case_part t set shares = coalesce((
      select jsonb_object_agg(x.account, x.amount) from (
        select w.account, (select sum(floor(w.amount::numeric * upper(r) / w.total) - floor(w.amount::numeric * lower(r) / w.total)) from unnest(t.part) r)::bigint as amount
        from (select s.account, s.amount, sum(s.amount) over () as total from ledger.shares_of(t.seq) s) w where w.account <> 'platform') x), '{}')
    where t.case_id = p_case;
  update case_part t set shares = t.shares || jsonb_build_object('platform', size_of(t.part) - coalesce((select sum(value::bigint) from jsonb_each_text(t.shares)), 0)) where t.case_id = p_case;
  insert into case_share (case_id, account, micros, held)
    select p_case, s.account, s.micros, case when s.account like 'earnings:%' then least(s.micros, greatest(0, ledger.standing_of(s.account))) else 0 end
    from (select x.key as account, sum(x.value::bigint)::bigint as micros from case_part t cross join lateral jsonb_each_text(t.shares) x where t.case_id = p_case group by x.key) s
    where s.micros <> 0;
end $$;
-- Who received takes it as `held`, and owes the rest.
create function payments.held_name(p_case bigint, p_account text) returns text language sql immutable as $$ select 'held:case_' || p_case || '_' || replace(p_account, 'earnings:', '') $$;

-- The legs of a case's newest step, from how the books stand now. Called again when the books refused them: a share was paid out meanwhile.
create function payments.count_step(p_step bigint) returns void
language plpgsql set search_path = payments, pg_temp as $$
declare
  s step;
  c money_case;
  v_accounts text[] := '{}';
  v_amounts bigint[] := '{}';
  v_cash text;
  v_fee bigint;      -- of the top-up: paid less coins
  v_detail jsonb := '{}';
  v_bonus bigint := 0;
  v_parts jsonb;
  v_back jsonb;
begin
  select * into s from step where id = p_step and entry_seq is null for update;
  if not found or exists (select from ledger.entry e where e.key = s.key) then return; end if;
  -- Only a case is counted; what others have written down stands as it is.
  select * into c from money_case where id = s.subject_id and kind = s.subject for update;
  if not found then return; end if;
  if s.was = '' then
    perform find_parts(c.id);
    select * into strict c from money_case where id = c.id;
  end if;
  if c.kind = 'unspent' and c.rest = 0 then
    -- Spent while it was asked for: nothing goes back.
    delete from step where id = p_step;
    update money_case set state = 'dismissed' where id = c.id;
    return;
  end if;
  select coalesce(jsonb_object_agg(t.seq, size_of(t.part)), '{}'), coalesce(jsonb_object_agg(t.seq, -size_of(t.part)), '{}') into v_parts, v_back from case_part t where t.case_id = c.id;
  v_cash := case when c.provider = 'bank_transfer' then 'bank' else 'cash:' || c.provider end;
  v_fee := coalesce((select t.price_minor * 10000 - t.coins * 10000 from top_up t where t.id = c.order_id and c.amount = t.coins * 10000), 0);
  if c.kind = 'unspent' then
    v_accounts := array['wallet:' || c.user_id, v_cash];
    v_amounts := array[-c.rest, c.rest];
    v_detail := jsonb_build_object('taken_lot', c.lot_seq, 'taken', c.rest);
  elsif s.state in ('needs_response', 'open') then
    if c.kind = 'chargeback' then
      v_accounts := array['disputed', v_cash, 'provider_fees', v_cash];
      v_amounts := array[-(c.amount + v_fee), c.amount + v_fee, -c.fee_minor * 10000, c.fee_minor * 10000];
    end if;
    if c.order_id is not null then
      v_accounts := v_accounts || array['wallet:' || c.user_id, held_name(c.id, 'wallet')];
      v_amounts := v_amounts || array[-c.rest, c.rest];
      v_detail := jsonb_build_object('taken_lot', c.lot_seq, 'taken', c.amount, 'payer', c.user_id, 'parts', v_parts);
    end if;
    select v_accounts || coalesce(array_agg(x.account order by h.account, x.i), '{}'), v_amounts || coalesce(array_agg(x.amount order by h.account, x.i), '{}') into v_accounts, v_amounts
      from case_share h cross join lateral (values (1, h.account, -h.held), (2, held_name(c.id, h.account), h.held)) x (i, account, amount) where h.case_id = c.id and h.held > 0;
  elsif s.state in ('won', 'dismissed') then
    if c.kind = 'chargeback' then
      v_accounts := array[v_cash, 'disputed'];
      v_amounts := array[-(c.amount + v_fee), c.amount + v_fee];
    end if;
    if c.order_id is not null then
      v_accounts := v_accounts || array[held_name(c.id, 'wallet'), 'wallet:' || c.user_id];
      v_amounts := v_amounts || array[-c.rest, c.rest];
      v_detail := jsonb_build_object('taken_lot', c.lot_seq, 'taken', -c.amount, 'payer', c.user_id, 'parts', v_back);
    end if;
    select v_accounts || coalesce(array_agg(x.account order by h.account, x.i), '{}'), v_amounts || coalesce(array_agg(x.amount order by h.account, x.i), '{}') into v_accounts, v_amounts
      from case_share h cross join lateral (values (1, held_name(c.id, h.account), -h.held), (2, h.account, h.held)) x (i, account, amount) where h.case_id = c.id and h.held > 0;
  elsif s.state in ('lost', 'upheld') then
    if c.kind = 'chargeback' then
      v_accounts := array['disputed', 'provider_fees'];
      v_amounts := array[c.amount + v_fee, -v_fee];
    elsif c.kind = 'minor' then
      v_accounts := array[v_cash, 'provider_fees'];
      v_amounts := array[c.amount + v_fee, -v_fee];
    else
      -- A gift goes back leg by leg, to what paid for it.
      select array['wallet:' || c.user_id, 'gift_only:' || c.user_id, 'bonus:' || c.user_id, 'promo'], array[g.price - g.bonus - g.gift_only, g.gift_only, g.bonus, -g.promo]
        into v_accounts, v_amounts from ledger.gift g where g.seq = c.entry_seq;
      v_detail := jsonb_build_object('reverses', c.entry_seq);
      if c.kind = 'fraud' then
        -- Forfeited: all the bonus there is, with what comes back.
        v_bonus := greatest(0, ledger.standing_of('bonus:' || c.user_id)) + v_amounts[3];
        v_accounts := v_accounts || array['bonus:' || c.user_id, 'promo'];
        v_amounts := v_amounts || array[-v_bonus, v_bonus];
      end if;
    end if;
    if c.order_id is not null then
      v_accounts := v_accounts || held_name(c.id, 'wallet');
      v_amounts := v_amounts || -c.rest;
    end if;
    -- Each party's exact micros: what is held, then what is owed. A gift that is reversed at once takes from the earnings themselves.
    select v_accounts || coalesce(array_agg(x.account order by h.account, x.i), '{}'), v_amounts || coalesce(array_agg(x.amount order by h.account, x.i), '{}') into v_accounts, v_amounts
      from case_share h cross join lateral (values (1, case when c.kind = 'gift' then h.account else held_name(c.id, h.account) end, -h.held),
        (2, case when h.account like 'earnings:%' then 'receivable:' || substr(h.account, 10) else h.account end, -(h.micros - h.held))) x (i, account, amount)
      where h.case_id = c.id and x.amount <> 0;
  end if;
  if s.state in ('lost', 'upheld') and c.kind <> 'unspent' then
    v_detail := v_detail || jsonb_build_object('took', coalesce((select jsonb_object_agg(t.seq, case when c.order_id is null then c.amount else size_of(t.part) end) from case_part t where t.case_id = c.id), '{}'));
  end if;
  -- A correction belongs to the day of what it corrects, while that day's month is open.
  if c.kind = 'gift' then
    v_detail := v_detail || jsonb_build_object('effective', effective_day(c.entry_seq));
  end if;
  update step set detail = jsonb_build_object('case', c.id) || v_detail,
    accounts = coalesce((select array_agg(l.account order by l.i) from unnest(v_accounts, v_amounts) with ordinality l (account, amount, i) where l.amount <> 0), '{}'),
    amounts = coalesce((select array_agg(l.amount order by l.i) from unnest(v_accounts, v_amounts) with ordinality l (account, amount, i) where l.amount <> 0), '{}')
    where id = p_step;
end $$;

-- `problem`: nothing was written.
create function payments.open_case(p_key uuid, p_kind text, p_order bigint, p_entry bigint, p_user bigint, p_actor bigint, p_house boolean, p_reason text, p_ref text, p_fee bigint,
  out id bigint, out problem text)
language plpgsql set search_path = payments, pg_temp as $$
declare
  v_policy policy_now;
  v_order top_up;
  v_user bigint := p_user;
  v_lot record;
  v_first text;
  v_kind text;
  v_step bigint;
begin
  problem := '';
  select * into v_policy from policy_now;
  -- One after another for each payer, and not while something of theirs is still being booked.
  v_user := case when p_kind in ('unspent', 'chargeback', 'minor') then (select t.user_id from top_up t where t.id = p_order)
                 when p_kind in ('gift', 'fraud') then (select g.payer from ledger.given g where g.seq = p_entry) else p_user end;
  perform pg_advisory_xact_lock(hashtextextended('payments.case:' || coalesce(v_user, 0), 0));
  select c.id, case when (c.kind, coalesce(c.order_id, 0), coalesce(c.entry_seq, 0), c.provider_ref, c.fee_minor) = (p_kind, p_order, p_entry, p_ref, p_fee) then '' else 'key_reused' end into id, problem
    from money_case c where c.key = p_key;
  if found then return; end if;
  problem := '';
  if p_house and v_user = p_actor then problem := 'own_money'; return; end if;
  if case_is_booked(v_user) then problem := 'busy'; return; end if;
  if p_kind in ('unspent', 'chargeback', 'minor') and ledger.holds_coins(v_user) then problem := 'coins_held'; return; end if;
  if p_kind in ('unspent', 'chargeback', 'minor') then
    select * into v_order from top_up t where t.id = p_order for update;
    if not found then problem := 'not_found'; return; end if;
    if v_order.state <> 'paid' then problem := 'not_paid'; return; end if;
    if exists (select from money_case c where c.order_id = p_order and c.kind <> 'unspent' and c.state not in ('won', 'dismissed')) then problem := 'already_in_a_case'; return; end if;
    select l.* into v_lot from ledger.lots(v_user) l where l.seq = v_order.entry_seq;
    if p_kind = 'unspent' then
      if v_lot.rest = 0 then
        -- Asked for again: what went back last.
        select c.id into id from money_case c where c.order_id = p_order and c.kind = 'unspent' and c.state = 'upheld' order by c.id desc limit 1;
        if not found then problem := 'all_spent'; end if;
        return;
      end if;
      if v_lot.at < now() - make_interval(days => v_policy.refund_days) then problem := 'too_late'; return; end if;
      if exists (select from ledger.wallet w where w.user_id = v_user and w.frozen) then problem := 'account_frozen'; return; end if;
    elsif v_lot.high = v_lot.low then
      problem := 'all_given_back';
      return;
    end if;
  elsif p_kind in ('gift', 'fraud') then
    if v_user is null then problem := 'not_found'; return; end if;
  end if;
  v_first := (select m.state from move m where m.subject = p_kind and m.was = '');
  v_kind := case when p_kind in ('unspent', 'gift') then 'refund' when p_kind = 'chargeback' then 'chargeback_opened' when p_kind = 'question' then null else 'case_opened' end;
  insert into money_case (key, kind, state, user_id, order_id, lot_seq, entry_seq, provider, provider_ref, fee_minor, reason, opened_by, deadline_at, closed_at)
    values (coalesce(p_key, gen_random_uuid()), p_kind, v_first, v_user, nullif(p_order, 0), v_order.entry_seq, nullif(p_entry, 0), coalesce(v_order.provider, ''), p_ref, p_fee, p_reason, p_actor,
      case when p_kind in ('chargeback', 'question') then now() + make_interval(days => v_policy.answer_days) when p_kind in ('minor', 'fraud') then now() + make_interval(days => v_policy.minor_days) end,
      case when v_first = 'upheld' then now() end) returning money_case.id into id;
  v_step := add_step(p_kind, id, '', v_first, p_actor, p_house, p_reason, v_kind, '{}', '{}', 'case:' || id, '{}');
  if v_kind is not null then perform count_step(v_step); end if;
  if p_kind in ('minor', 'fraud') then perform ledger.set_frozen(v_user, true); end if;
  if p_kind <> 'unspent' then perform tell_parties(id, case when v_first = 'upheld' then 'shares_taken' else 'shares_held' end, p_reason); end if;
exception when exclusion_violation or unique_violation then
  id := null;
  problem := 'already_in_a_case';
end $$;
-- Whether something of a payer's cases is written down and not yet in the books.
create function payments.case_is_booked(p_user bigint) returns boolean
language sql stable set search_path = payments, pg_temp as $$
  select exists (select from step s join money_case c on c.kind = s.subject and c.id = s.subject_id where c.user_id = p_user and s.kind is not null and s.entry_seq is null)
$$;
create function payments.tell_parties(p_case bigint, p_what text, p_reason text) returns void
language sql set search_path = payments, pg_temp as $$
  insert into notice (user_id, what, case_id, amount, reason)
  select substr(h.account, 10)::bigint, p_what, p_case, case when p_what = 'shares_taken' then h.micros else h.held end, p_reason
  from case_share h where h.case_id = p_case and h.account ~ '^earnings:[0-9]+$' and exists (select from identity.users u where u.id = substr(h.account, 10)::bigint)
$$;

create function payments.decide_case(p_id bigint, p_decision text, p_actor bigint, p_reason text, out step bigint, out problem text)
language plpgsql set search_path = payments, pg_temp as $$
declare
  c money_case;
  v_to text;
  v_kind text;
begin
  problem := '';
  perform pg_advisory_xact_lock(hashtextextended('payments.case:' || coalesce((select o.user_id from money_case o where o.id = p_id), 0), 0));
  select * into c from money_case where id = p_id for update;
  if not found then problem := 'not_found'; return; end if;
  if c.user_id = p_actor or exists (select from case_share h where h.case_id = p_id and h.account = 'earnings:' || p_actor) then problem := 'own_money'; return; end if;
  if case_is_booked(c.user_id) then problem := 'busy'; return; end if;
  v_to := case when c.kind = 'chargeback' then case p_decision when 'respond' then 'under_review' when 'uphold' then 'lost' else 'won' end
               else case p_decision when 'uphold' then 'upheld' when 'dismiss' then 'dismissed' else '' end end;
  if not exists (select from move m where m.subject = c.kind and m.was = c.state and m.state = v_to) then problem := 'wrong_state'; return; end if;
  -- Fraud: two persons, and whoever opened the case is one of them.
  if c.kind = 'fraud' and p_decision = 'uphold' then
    insert into approval values ('fraud', c.id, c.opened_by, c.reason), ('fraud', c.id, p_actor, p_reason) on conflict do nothing;
    if (select count(*) from approval a where a.subject = 'fraud' and a.subject_id = c.id) < 2 then problem := 'second_person'; return; end if;
  end if;
  update money_case set state = v_to, closed_at = case when v_to in ('won', 'lost', 'upheld', 'dismissed') then now() end where id = p_id;
  v_kind := case when c.kind = 'question' then null when v_to = 'under_review' then 'chargeback_responded' when c.kind = 'chargeback' then 'chargeback_' || v_to else 'case_' || v_to end;
  step := add_step(c.kind, c.id, c.state, v_to, p_actor, true, p_reason, v_kind, '{}', '{}', 'case:' || c.id, '{}');
  if v_kind is null or v_to = 'under_review' then return; end if;
  perform count_step(step);
  if v_to in ('won', 'dismissed') then update case_part set active = false where case_id = p_id; end if;
  perform tell_parties(p_id, case when v_to in ('won', 'dismissed') then 'shares_released' else 'shares_taken' end, p_reason);
  if c.kind in ('minor', 'fraud') and v_to = 'dismissed' and not exists (select from money_case o where o.user_id = c.user_id and o.kind in ('minor', 'fraud') and (o.closed_at is null or (o.kind = 'fraud' and o.state = 'upheld'))) then
    perform ledger.set_frozen(c.user_id, false);
  end if;
end $$;

-- What is owed for longer than the policy's days goes to the platform's account, visibly.
create table payments.write_off (
  id       bigint generated always as identity primary key,
  key      uuid not null unique,
  account  text not null,
  amount   bigint not null check (amount > 0),
  actor_id bigint not null,
  reason   text not null,
  at       timestamptz not null default now()
);
create function payments.write_off_receivable(p_key uuid, p_account text, p_actor bigint, p_reason text, out id bigint, out problem text)
language plpgsql set search_path = payments, pg_temp as $$
declare v_due bigint;
begin
  problem := '';
  perform pg_advisory_xact_lock(hashtextextended('payments.' || p_account, 0));
  select w.id, case when w.account = p_account then '' else 'key_reused' end into id, problem from write_off w where w.key = p_key;
  if found then return; end if;
  problem := '';
  if p_account = 'receivable:' || p_actor then problem := 'own_money'; return; end if;
  if exists (select from payout o join step s on s.subject = 'payout' and s.subject_id = o.id where 'receivable:' || o.user_id = p_account and s.entry_seq is null and s.accounts @> array[p_account]) then problem := 'busy'; return; end if;
  if exists (select from write_off w join step s on s.subject = 'write_off' and s.subject_id = w.id where w.account = p_account and s.entry_seq is null) then problem := 'busy'; return; end if;
  select coalesce(sum(r.rest), 0) into v_due from ledger.receivables r where r.name = p_account and r.at < now() - make_interval(days => (select write_off_days from policy_now));
  if v_due = 0 then problem := 'not_due'; return; end if;
  insert into write_off (key, account, amount, actor_id, reason) values (p_key, p_account, v_due, p_actor, p_reason) returning write_off.id into id;
  perform add_step('write_off', id, '', 'written_off', p_actor, true, p_reason, 'write_off', array[p_account, 'platform'], array[v_due, -v_due], 'write_off:' || id, '{}');
end $$;

revoke execute on all functions in schema payments from public;
grant execute on all functions in schema payments to ovation_app;
grant select on payments.policy, payments.policy_now, payments.tax_scheme, payments.tax_bracket, payments.move to ovation_app;
grant select, insert on payments.payout_batch, payments.payout_item, payments.withholding, payments.evidence, payments.notice, payments.approval, payments.write_off to ovation_app;
grant select, insert, update on payments.payee, payments.payout, payments.payout_run, payments.money_case to ovation_app;
grant select, insert, update, delete on payments.step, payments.case_part, payments.case_share to ovation_app;
grant delete on payments.payout to ovation_app;
