-- One that was spent only just now is taken once more: the answer that brought the next one may have been lost.
with old as (select s.id, s.refresh_hash from identity.sessions s
  where (s.refresh_hash = $1 or s.id = (select p.session_id from identity.spent_refresh p where p.refresh_hash = $1 and p.at > now() - ($4::bigint * interval '1 millisecond')))
    and s.ended_at is null and s.used_at > now() - ($3::bigint * interval '1 millisecond') for update),
spent as (insert into identity.spent_refresh (refresh_hash, session_id) select refresh_hash, id from old),
swapped as (update identity.sessions s set refresh_hash = $2, used_at = now() from old where s.id = old.id returning s.id, s.user_id)
select u.id, u.subject, u.display_name, u.roles, u.banned, u.show_on_boards, u.language, s.id from swapped s join identity.users u on u.id = s.user_id
