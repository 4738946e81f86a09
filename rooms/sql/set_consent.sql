-- This singer's word. Its end changes the token, whatever state the recording is in: the old link is over.
with o as (select id, token from rooms.recording where id = $1 and state <> 'deleted' for update),
c as (update rooms.recording_part set consented_at = case when $3 then coalesce(consented_at, now()) end where recording_id = $1 and singer_id = $2 returning 1)
update rooms.recording r set token = case when $3 then r.token else $4 end from o, c where r.id = o.id returning o.token, r.token
