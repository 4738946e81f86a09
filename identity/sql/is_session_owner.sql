select user_id from identity.sessions where id = $1 and ended_at is null
