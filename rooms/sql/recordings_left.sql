update rooms.recording r set state = 'mixing' from rooms.performance p where p.id = r.performance_id and p.ended_at is not null and r.state in ('recording', 'mixing') returning r.id
