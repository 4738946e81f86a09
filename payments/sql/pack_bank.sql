select seq, kind, reference, coalesce(detail->>'attempt', ''), coalesce(detail->>'bank_reference', ''), -amount / 10000, (at at time zone $3)::date from ledger.lines_of('bank', $1, $2)
