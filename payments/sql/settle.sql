select coalesce(id, 0), problem from payments.settle($1, $2, $3::bigint[], $4::bigint[], $5::bigint[], $6, $7, $8)
