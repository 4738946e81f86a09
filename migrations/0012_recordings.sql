-- Recordings: whose voices, the mix, and what happened meanwhile. Deleted ones leave no file and no name.
create table rooms.recording (
  id             bigint generated always as identity primary key,
  performance_id bigint not null unique references rooms.performance,
  token          text not null unique check (char_length(token) >= 22),   -- 128 bits: the share link, and the name of its files
  state          text not null default 'recording' check (state in ('recording', 'mixing', 'ready', 'failed', 'deleted')),
  effect         text not null default 'off' check (effect in ('off', 'ktv', 'hall', 'studio')),
  duration_samples bigint not null default 0 check (duration_samples >= 0),
  loudness_lufs  double precision not null default 0,
  pieces         jsonb not null default '[]',                              -- at, length, media_time, position
  problem        text not null default '',
  made_at        timestamptz not null default now()
);
create table rooms.recording_part (
  recording_id bigint not null references rooms.recording,
  singer_id    bigint not null references identity.users,
  voice        int not null default 1,
  consented_at timestamptz,                                                -- to its publication
  primary key (recording_id, singer_id)
);
create index recording_part_singer on rooms.recording_part (singer_id, recording_id);
-- Gifts, chat and line scores of a performance, where the song stood. media_time: the room's clock, for replays after a seek.
create table rooms.timeline (
  id             bigint generated always as identity primary key,
  performance_id bigint not null references rooms.performance,
  song_position  bigint not null,
  media_time     bigint not null,
  kind           text not null check (kind in ('gift', 'chat', 'line')),
  entry_seq      bigint check (entry_seq > 0),
  user_id        bigint not null,
  body           jsonb not null,
  unique (performance_id, entry_seq)
);
create index timeline_performance on rooms.timeline (performance_id, id);
grant select, insert, update on rooms.recording, rooms.recording_part to ovation_app;
grant select, insert, delete on rooms.timeline to ovation_app;
grant delete on rooms.recording_part to ovation_app;
-- Gifts to a recording stand in the ledger under room −id: in no live room, and bound to the recording by their key.
create view gifts.given_to_recording as
  select -scope_id as recording_id, sum(coins)::bigint as coins from gifts.board_bucket where scope = 3 and scope_id < 0 and subject = 2 group by 1;
grant select on gifts.given_to_recording to ovation_app;
