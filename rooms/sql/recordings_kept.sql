-- Every file that may be there: tokens of mixes, and whose voices.
select r.token, r.performance_id, p.singer_id from rooms.recording r join rooms.recording_part p on p.recording_id = r.id where r.state <> 'deleted'
