with r as (update rooms.recording set state = 'deleted', pieces = '[]', problem = '' where id = $1 and state not in ('deleted', 'recording') returning id, token, performance_id),
l as (delete from rooms.timeline t using r where t.performance_id = r.performance_id),
d as (delete from rooms.recording_part p using r where p.recording_id = r.id returning p.singer_id)
select r.token, r.performance_id, d.singer_id from r, d
