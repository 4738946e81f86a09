select done_at is not null from payments.notification where provider = $1 and event_id = $2
