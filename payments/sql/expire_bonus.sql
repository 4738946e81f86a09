select payments.expire_bonus($1)
