with old as (select id, banned from identity.users where id = $1 for update),
changed as (update identity.users u set banned = $2 from old where u.id = old.id returning u.id, old.banned as before, u.banned as after),
ended as (update identity.sessions set ended_at = now() where $2 and user_id = $1 and ended_at is null)
insert into identity.audit (actor_id, action, subject, reason, before, after)
select $3, case when $2 then 'ban_user' else 'lift_ban' end, 'user:' || id, $4, jsonb_build_object('banned', before), jsonb_build_object('banned', after) from changed
returning id
