insert into identity.secret (name, value) values ('token_key', $1) on conflict do nothing
