select id from payments.top_up where state = 'created' and provider not in ('sandbox', 'bank_transfer') and created_at > now() - interval '7 days'
  and created_at < now() - make_interval(secs => $1) and (asked_at is null or asked_at < now() - make_interval(secs => $1)) order by asked_at nulls first limit 50
