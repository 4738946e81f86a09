select payments.monthly_run((now() at time zone $1)::date)
