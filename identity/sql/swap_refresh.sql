with old as (select id, refresh_hash from identity.sessions where refresh_hash = $1 and ended_at is null and used_at > now() - ($3::bigint * interval '1 millisecond') for update),
spent as (insert into identity.spent_refresh (refresh_hash, session_id) select refresh_hash, id from old),
swapped as (update identity.sessions s set refresh_hash = $2, used_at = now() from old where s.id = old.id returning s.id, s.user_id)
select u.id, u.subject, u.display_name, u.roles, u.banned, u.show_on_boards, u.language, s.id from swapped s join identity.users u on u.id = s.user_id
