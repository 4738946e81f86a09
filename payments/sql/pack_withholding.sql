select w.payout_id, w.user_id, u.display_name, y.holder, w.scheme, w.year, w.month, w.reversal, w.income_minor, w.withheld_minor, s.entry_seq
from payments.withholding w join identity.person u on u.id = w.user_id join payments.payee y on y.user_id = w.user_id
join payments.step s on s.subject = 'payout' and s.subject_id = w.payout_id and s.entry_seq > $1 and s.entry_seq <= $2
  and case when w.reversal then s.state in ('rejected', 'cancelled', 'failed', 'returned') else s.state = 'tax_computed' and s.was = 'approved' end
order by s.entry_seq
