select payments.move_payout($1, $2::text[], $3, $4, $5, $6)
