-- Those whose provider is to be asked now.
select id from payments.refund where state = 'to_send' and provider = any ($1::text[]) and next_try <= now() order by next_try limit 50
