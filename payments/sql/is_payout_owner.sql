select 1 from payments.payout where id = $1 and user_id = $2
