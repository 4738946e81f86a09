-- What was sung alone when the server went down is over.
update rooms.performance set ended_at = now() where show_id is null and ended_at is null
