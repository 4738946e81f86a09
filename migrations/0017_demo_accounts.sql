-- Accounts with a published password: they can log in only at a server that was started for a demo.
alter table identity.users add column demo boolean not null default false;
