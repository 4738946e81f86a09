update identity.sessions s set ended_at = now() from identity.users u where u.id = s.user_id and u.demo and s.ended_at is null
