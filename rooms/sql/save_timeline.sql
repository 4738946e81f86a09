insert into rooms.timeline (performance_id, song_position, media_time, kind, entry_seq, user_id, body)
select $1, x.position, x.media_time, x.kind, nullif(x.entry_seq, 0), x.user_id, x.body from jsonb_to_recordset($2::jsonb) as x (position bigint, media_time bigint, kind text, entry_seq bigint, user_id bigint, body jsonb)
where exists (select from rooms.recording r where r.performance_id = $1 and r.state <> 'deleted')
on conflict (performance_id, entry_seq) do nothing
