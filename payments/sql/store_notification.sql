insert into payments.notification (provider, event_id, raw) values ($1, $2, $3) on conflict do nothing
