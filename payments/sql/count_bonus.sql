select payments.count_bonus($1)
