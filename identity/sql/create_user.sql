insert into identity.users (subject, display_name, password_hash, roles, demo) values ($1, $2, $3, $4, $5) on conflict (issuer, subject) do nothing returning id
