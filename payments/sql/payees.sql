select y.user_id, y.version, y.method, y.holder, y.account, y.bank, y.tax_scheme, y.verified_at is not null, y.refused, (extract(epoch from y.changed_at) * 1000)::bigint,
  case when y.version > 1 and y.changed_at + make_interval(hours => p.payee_hold_hours) > now() then (extract(epoch from y.changed_at + make_interval(hours => p.payee_hold_hours)) * 1000)::bigint else 0 end,
  u.display_name, u.subject
from payments.payee y join identity.person u on u.id = y.user_id cross join payments.policy_now p
where (cardinality($1::bigint[]) = 0 and y.verified_at is null and y.refused = '') or y.user_id = any ($1) order by y.changed_at limit 200
