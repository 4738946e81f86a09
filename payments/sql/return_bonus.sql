-- Of payers whose gifts were reversed lately; the steps are booked by the next sweep.
select payments.return_bonus(u.user_id) from (select distinct c.user_id from payments.money_case c where c.kind in ('gift', 'fraud') and c.closed_at > now() - interval '7 days') u
