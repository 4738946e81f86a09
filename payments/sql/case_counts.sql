select count(*), count(*) filter (where deadline_at < now()), (select count(*) from payments.payout where state not in ('paid', 'rejected', 'cancelled', 'failed', 'returned')),
  (select count(*) from payments.refund where state <> 'sent')
from payments.money_case where closed_at is null
