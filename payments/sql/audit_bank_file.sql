select identity.add_audit($1, 'import_bank_file', 'file:' || $3, $2, '{}', jsonb_build_object('credited', $4::int, 'left', $5::int))
