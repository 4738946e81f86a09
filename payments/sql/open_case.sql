select coalesce(id, 0), problem from payments.open_case(nullif($1, '')::uuid, $2, $3::bigint, $4, $5, $6, $7, $8, $9, $10)
