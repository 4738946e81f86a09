select coalesce(id, 0), problem from payments.close_month($1::date, $2, $3, $4)
