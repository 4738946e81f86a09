select payments.compute_tax($1, (now() at time zone $2)::date)
