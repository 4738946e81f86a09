select p.id, p.user_id, u.display_name, p.origin, p.gross_minor, p.recovered_minor, p.withheld_minor, p.net_minor, p.attempt, s.state, s.entry_seq, (s.at at time zone $3)::date
from payments.payout p join identity.person u on u.id = p.user_id join lateral (
  select x.state, x.entry_seq, x.at from payments.step x where x.subject = 'payout' and x.subject_id = p.id and x.entry_seq <= $2 order by x.id desc limit 1) s on s.entry_seq > $1
order by p.id
