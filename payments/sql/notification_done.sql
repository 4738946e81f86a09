update payments.notification set done_at = now(), outcome = $3 where provider = $1 and event_id = $2 and done_at is null
