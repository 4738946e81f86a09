select 1 from identity.sessions where id = $1 and user_id = $2 and ended_at is null
