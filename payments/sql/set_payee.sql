insert into payments.payee as y (user_id, method, holder, account, bank, tax_scheme) values ($1, $2, $3, $4, $5, $6)
on conflict (user_id) do update set version = y.version + 1, method = excluded.method, holder = excluded.holder, account = excluded.account, bank = excluded.bank, tax_scheme = excluded.tax_scheme,
  changed_at = now(), verified_at = null, verified_by = null, refused = ''
  where (y.method, y.holder, y.account, y.bank, y.tax_scheme) is distinct from (excluded.method, excluded.holder, excluded.account, excluded.bank, excluded.tax_scheme)
