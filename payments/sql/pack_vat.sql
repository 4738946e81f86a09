select day, coalesce(vat_bp::text, ''), what, entries, coalesce(price::text, ''), vat from ledger.vat_between($1, $2, $3)
