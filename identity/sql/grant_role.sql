with old as (select id, roles from identity.users where id = $1 for update),
changed as (update identity.users u set roles = case when $3 then old.roles & ~$2::int else old.roles | $2::int end from old where u.id = old.id returning u.id, old.roles as before, u.roles as after)
insert into identity.audit (actor_id, action, subject, reason, before, after)
select $4, case when $3 then 'revoke_role' else 'grant_role' end, 'user:' || id, $5, jsonb_build_object('roles', before), jsonb_build_object('roles', after) from changed
returning id
