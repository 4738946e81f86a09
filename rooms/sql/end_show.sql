with p as (update rooms.performance set ended_at = now() where show_id = $1 and ended_at is null) update rooms.show set ended_at = now() where id = $1 and ended_at is null
