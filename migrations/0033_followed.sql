-- What every server asks each second: who is banned, which sessions ended lately.
create index users_banned on identity.users (id) where banned;
create index sessions_ended on identity.sessions (ended_at) where ended_at is not null;
