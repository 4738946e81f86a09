-- People, their sessions, and what ops and finance did.
create schema identity;
grant usage on schema identity to ovation_app;

create table identity.users (
  id             bigint generated always as identity primary key,
  issuer         text not null default 'ovation',
  subject        text not null,                  -- the handle, for our own issuer
  display_name   text not null check (char_length(display_name) between 1 and 40),
  password_hash  text,
  roles          int not null default 4,         -- bits of ovation.v1.Role; 4 = audience
  banned         boolean not null default false,
  show_on_boards boolean not null default false,
  language       text not null default 'zh' check (language in ('zh', 'en')),
  created_at     timestamptz not null default now(),
  unique (issuer, subject)
);
create table identity.sessions (
  id           bigint generated always as identity primary key,
  user_id      bigint not null references identity.users,
  refresh_hash bytea not null unique,
  client       text not null default '',
  created_at   timestamptz not null default now(),
  used_at      timestamptz not null default now(),
  ended_at     timestamptz
);
create index sessions_user on identity.sessions (user_id) where ended_at is null;
-- Refresh tokens already swapped: shown again, they end the session.
create table identity.spent_refresh (
  refresh_hash bytea primary key,
  session_id   bigint not null references identity.sessions,
  at           timestamptz not null default now()
);
create table identity.audit (
  id       bigint generated always as identity primary key,
  at       timestamptz not null default now(),
  actor_id bigint not null,
  action   text not null,
  subject  text not null,
  reason   text not null check (char_length(reason) between 3 and 500),
  before   jsonb not null default '{}',
  after    jsonb not null default '{}'
);
create trigger audit_is_final before update or delete on identity.audit for each row execute function ledger.refuse_change();
create trigger audit_stays before truncate on identity.audit execute function ledger.refuse_change();
create table identity.secret (name text primary key, value bytea not null);

grant select, insert, update on identity.users, identity.sessions, identity.spent_refresh to ovation_app;
grant select, insert on identity.audit, identity.secret to ovation_app;
