select payments.count_step($1)
