select account, micros, held from payments.case_share where case_id = $1 order by account
