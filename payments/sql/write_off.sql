select coalesce(id, 0), problem from payments.write_off_receivable($1::uuid, $2, $3, $4)
