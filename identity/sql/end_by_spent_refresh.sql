update identity.sessions s set ended_at = now() from identity.spent_refresh p
where p.refresh_hash = $1 and p.at <= now() - ($2::bigint * interval '1 millisecond') and p.session_id = s.id and s.ended_at is null returning s.id, s.user_id
