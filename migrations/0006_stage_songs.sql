-- Songs as the stage needs them: renditions, how the file was read, search; what a performance was sung like.
alter table songs.song
  add column genre text not null default '',
  add column edition text not null default '',
  add column cover text not null default '',                  -- file name under the media folder
  add column guide text not null default '',                  -- the melody alone, for the singer's ear
  add column format text not null default 'ultrastar' check (format in ('ultrastar', 'lrc')),
  add column source_encoding text not null default 'UTF-8',
  add column encoding_guessed boolean not null default false,
  add column deviations jsonb not null default '[]',          -- line, code, text
  add column search text not null default '',                 -- lower case, pinyin, initials
  add column voices int not null default 1 check (voices between 1 and 9),
  add column scored boolean not null default true,            -- the notes have pitches
  add column plays bigint not null default 0 check (plays >= 0);
update songs.song set search = lower(title || ' ' || artist);
create table songs.rendition (
  song_id  bigint not null references songs.song,
  id       int not null check (id between 1 and 26),          -- 2·(key + 6) + 1, + 1 at 48 kb/s
  file     text not null,
  channels int not null check (channels in (1, 2)),
  packets  int not null check (packets > 0),
  primary key (song_id, id)
);
grant select, insert, update on songs.rendition to ovation_app;

alter table rooms.performance
  alter column show_id drop not null,                          -- sung alone
  add column key int not null default 0 check (key between -6 and 6),
  add column seats int not null default 1;
-- What one singer of a performance sang, judged by one set of rules. `track`: what the scorer heard, so that the score can be made again.
create table rooms.take (
  performance_id bigint not null references rooms.performance,
  singer_id      bigint not null references identity.users,
  rules          text not null check (rules in ('usdx-1', 'ovation-1')),
  level          text not null check (level in ('easy', 'medium', 'hard')),
  song_hash      text not null,
  voice          int not null default 1,
  offset_ms      int not null,
  points         int not null check (points between 0 and 10000),
  normal_points  int not null,
  golden_points  int not null,
  line_points    int not null,
  sung_ms        int not null check (sung_ms >= 0),
  flags          jsonb not null default '{}',                  -- evidence of silence, of a backing fed into the microphone
  lines          jsonb not null default '[]',
  track          bytea not null,
  made_at        timestamptz not null default now(),
  primary key (performance_id, singer_id, rules)
);
grant select, insert, update on rooms.take to ovation_app;
-- One line of the audit trail, for folders that stand below identity/ or beside it.
create function identity.add_audit(actor bigint, act text, what text, why text, was jsonb, is_now jsonb) returns bigint language sql as
  $$ insert into identity.audit (actor_id, action, subject, reason, before, after) values (actor, act, what, why, was, is_now) returning id $$;
grant execute on function identity.add_audit to ovation_app;
