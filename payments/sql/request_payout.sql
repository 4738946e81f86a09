select id, problem, coalesce(figure, 0) from payments.request_payout($1, $2::uuid, $3, 'demand', (now() at time zone $4)::date)
