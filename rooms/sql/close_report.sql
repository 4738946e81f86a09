with closed as (update rooms.report set closed_at = now(), closed_by = $2 where id = $1 and closed_at is null returning id, room_id, user_id, text)
select identity.add_audit($2, 'close_report', 'report:' || id, $3, jsonb_build_object('user', user_id, 'room', room_id, 'text', text), jsonb_build_object('closed', true)) from closed
