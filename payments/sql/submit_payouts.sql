select payments.submit_payouts($1::uuid, $2, $3)
