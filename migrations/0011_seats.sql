-- Who has the stage's other seat while a show is open: a restart keeps it.
alter table rooms.show
  add column guest_id bigint references identity.users,
  add column seat_locked boolean not null default true;
