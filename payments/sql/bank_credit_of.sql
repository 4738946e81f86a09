select booking from payments.bank_credit where order_id = $1
