-- Channels and contracts; songs.
create schema channels;
grant usage on schema channels to ovation_app;
create table channels.channel (
  id         bigint generated always as identity primary key,
  agent_id   bigint not null references identity.users,
  name       text not null unique check (char_length(name) between 1 and 60),
  theme      text not null default 'dusk' check (char_length(theme) <= 20),
  preset     text not null default 'ovation-default',
  created_at timestamptz not null default now()
);
create table channels.contract (
  id         bigint generated always as identity primary key,
  channel_id bigint not null references channels.channel,
  singer_id  bigint not null references identity.users,
  agent_bp   int not null check (agent_bp between 0 and 3000),
  from_date  date not null,
  to_date    date check (to_date > from_date),
  state      text not null default 'offered' check (state in ('offered', 'accepted', 'declined', 'ended')),
  decided_at timestamptz,
  created_at timestamptz not null default now()
);
create extension if not exists btree_gist;
-- A singer has at most one contract at a time in a channel.
alter table channels.contract add constraint one_contract_at_a_time
  exclude using gist (singer_id with =, channel_id with =, daterange(from_date, to_date) with &&) where (state = 'accepted');
create index contract_channel on channels.contract (channel_id);
grant select, insert, update on channels.channel, channels.contract to ovation_app;

create schema songs;
grant usage on schema songs to ovation_app;
create table songs.song (
  id               bigint generated always as identity primary key,
  content_hash     text not null,
  title            text not null,
  artist           text not null,
  language         text not null default '',
  year             text not null default '',
  public_domain    boolean not null default false,
  duration_samples bigint not null check (duration_samples > 0),
  source           bytea not null,              -- the file as it was read
  lyrics           jsonb not null,              -- lines of syllables, 48 kHz samples
  backing          text not null default '',    -- file name under the media folder
  created_at       timestamptz not null default now(),
  unique (title, artist, content_hash)
);
grant select, insert, update on songs.song to ovation_app;
