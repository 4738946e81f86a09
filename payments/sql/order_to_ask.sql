update payments.top_up set asked_at = now() where id = $1 and state = 'created' and provider not in ('sandbox', 'bank_transfer') and (asked_at is null or asked_at < now() - make_interval(secs => $2))
returning provider, price_minor, currency, provider_ref
