-- Over for two minutes and not mixed: a crash, or a mixer that was full.
update rooms.recording r set state = 'mixing' from rooms.performance p where p.id = r.performance_id and r.state in ('recording', 'mixing') and (p.ended_at < now() - interval '2 minutes' or ($1 and p.ended_at is not null)) returning r.id
