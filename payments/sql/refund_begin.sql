-- One try, told before it is made; the next one later, each twice as late, at most six hours.
update payments.refund f set tries = f.tries + 1, next_try = now() + make_interval(mins => least(2 ^ least(f.tries, 10), 360)::int)
from payments.top_up o where f.id = $1 and o.id = f.order_id and f.state = 'to_send' and f.next_try <= now()
returning f.provider, f.order_id, o.price_minor, o.currency, o.provider_ref, f.amount_minor, f.reference
