update payments.top_up set provider_ref = $2, pay_url = $3 where id = $1 and state = 'created'
