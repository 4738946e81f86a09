insert into rooms.recording_part (recording_id, singer_id, voice) select id, $2, $3 from rooms.recording where performance_id = $1 and state <> 'deleted' on conflict do nothing
