update payments.top_up set state = 'failed' where id = $1 and state = 'created' and created_at < now() - make_interval(secs => $2)
