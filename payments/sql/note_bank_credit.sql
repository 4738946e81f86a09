insert into payments.bank_credit values ($1, $2) on conflict do nothing
