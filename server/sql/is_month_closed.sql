select 1 from ledger.closed_months where month = $1::date
