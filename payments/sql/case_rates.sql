select t.provider, count(*), count(c.id), count(c.id) * 10000 / count(*), (select dispute_rate_alarm_bp from payments.policy_now)
from payments.top_up t left join payments.money_case c on c.order_id = t.id and c.kind = 'chargeback'
where t.state = 'paid' and t.paid_at > now() - interval '30 days' group by t.provider order by 1
