select 1 from rooms.recording_part t join rooms.recording r on r.id = t.recording_id where t.recording_id = $1 and t.singer_id = $2 and r.state <> 'deleted'
