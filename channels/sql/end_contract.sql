-- One that has begun holds to the end of this day; an offer, or one that has not begun, is gone at once.
with today as (select (now() at time zone $2)::date as day)
update channels.contract k set
  state = case when k.state = 'accepted' and k.from_date <= today.day then k.state else 'ended' end,
  to_date = case when k.state = 'accepted' and k.from_date <= today.day then today.day + 1 else k.to_date end
from today where k.id = $1 and (k.state = 'offered' or k.state = 'accepted' and coalesce(k.to_date > today.day + 1, true)) returning k.id
