-- The queue of an open show, as it is shown: a restart keeps it.
alter table rooms.show add column queue jsonb;
