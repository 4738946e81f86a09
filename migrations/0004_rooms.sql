-- Rooms, shows, performances, and the history that a restart must not forget.
create schema rooms;
grant usage on schema rooms to ovation_app;
create table rooms.room (
  id         bigint generated always as identity primary key,
  channel_id bigint not null references channels.channel,
  singer_id  bigint not null references identity.users,
  name       text not null check (char_length(name) between 1 and 60),
  created_at timestamptz not null default now()
);
create index room_of_channel on rooms.room (channel_id);
create index room_of_singer on rooms.room (singer_id);
create table rooms.helper (room_id bigint not null references rooms.room, user_id bigint not null references identity.users, primary key (room_id, user_id));
create table rooms.show (
  id         bigint generated always as identity primary key,
  room_id    bigint not null references rooms.room,
  opened_at  timestamptz not null default now(),
  ended_at   timestamptz
);
create unique index one_open_show on rooms.show (room_id) where ended_at is null;
create table rooms.performance (
  id         bigint generated always as identity primary key,
  show_id    bigint not null references rooms.show,
  singer_id  bigint not null references identity.users,
  song_id    bigint not null references songs.song,
  started_at timestamptz not null default now(),
  ended_at   timestamptz,
  song_position bigint not null default 0      -- where it stood when last written
);
-- Muted and kicked people stay so until the time is over.
create table rooms.restraint (
  room_id bigint not null references rooms.room,
  user_id bigint not null references identity.users,
  kind    text not null check (kind in ('muted', 'kicked')),
  until   timestamptz not null,
  reason  text not null,
  by_user bigint not null references identity.users,
  primary key (room_id, user_id, kind)
);
create table rooms.report (
  id bigint generated always as identity primary key,
  room_id bigint not null references rooms.room,
  user_id bigint not null references identity.users,
  by_user bigint not null references identity.users,
  text    text not null check (char_length(text) between 1 and 500),
  at      timestamptz not null default now()
);
-- What happened in a room apart from money: moderation, for clients that come back after a restart.
create table rooms.history (
  id      bigint generated always as identity primary key,
  room_id bigint not null references rooms.room,
  at      timestamptz not null default now(),
  kind    int not null,
  user_id bigint not null,
  name    text not null,
  reason  text not null,
  until   timestamptz
);
create index history_room on rooms.history (room_id, at);
grant select, insert, update on all tables in schema rooms to ovation_app;
grant delete on rooms.helper, rooms.restraint to ovation_app;

-- What gifts/ may know of a room's money events when a client resumes, and channels/ of a room's channel.
create view rooms.room_channel as select id as room_id, channel_id, singer_id from rooms.room;
grant select on rooms.room_channel to ovation_app;
