-- What a stage wears and how a performance is judged outlast a restart.
alter table rooms.show
  add column effect text not null default 'off' check (effect in ('off', 'ktv', 'hall', 'studio')),
  add column hide_score boolean not null default false;
alter table rooms.performance
  add column level text not null default 'medium' check (level in ('easy', 'medium', 'hard')),
  add column host_voice int not null default 1 check (host_voice in (1, 2));   -- of a duet: the part of the room's singer
