select payments.settle_refund($1, $2, $3, $4)
