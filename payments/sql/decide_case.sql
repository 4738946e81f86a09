select coalesce(step, 0), problem from payments.decide_case($1, $2, $3, $4)
