insert into identity.sessions (user_id, refresh_hash, client) values ($1, $2, left($3, 200)) returning id
