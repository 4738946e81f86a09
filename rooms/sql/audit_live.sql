select identity.add_audit($1, $2, 'room:' || $3::bigint, $4, $5::jsonb, $6::jsonb)
