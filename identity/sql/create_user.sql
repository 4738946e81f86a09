insert into identity.users (subject, display_name, password_hash, roles) values ($1, $2, $3, $4) on conflict (issuer, subject) do nothing returning id
