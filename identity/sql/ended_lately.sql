select id, user_id from identity.sessions where ended_at > now() - ($1::bigint * interval '1 millisecond')
