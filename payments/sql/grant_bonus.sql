select coalesce(id, 0), problem from payments.grant_bonus($1::uuid, $2, $3, $4, $5)
