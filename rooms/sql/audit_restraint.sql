-- $6: muted or kicked; $7: for how many minutes from now, 0: lifted.
select identity.add_audit($1, $2, 'user:' || $4::bigint, $5,
  jsonb_build_object('room', $3::bigint, 'kind', $6::text, 'until', (select until from rooms.restraint where room_id = $3 and user_id = $4 and kind = $6 and until > now())),
  jsonb_build_object('room', $3::bigint, 'kind', $6::text, 'until', case when $7::int > 0 then now() + $7 * interval '1 minute' end))
where $7 > 0 or exists (select from rooms.restraint where room_id = $3 and user_id = $4 and kind = $6 and until > now())
