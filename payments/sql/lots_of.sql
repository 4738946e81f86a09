select t.id, l.seq, (extract(epoch from l.at) * 1000)::bigint, l.amount, l.rest, coalesce(t.provider, ''),
  t.id is not null and l.rest > 0 and l.at > now() - make_interval(days => p.refund_days) and not ledger.is_frozen($1)
    and not exists (select from payments.money_case c where c.order_id = t.id and c.kind <> 'unspent' and c.state not in ('won', 'dismissed')),
  (extract(epoch from l.at + make_interval(days => p.refund_days)) * 1000)::bigint
from ledger.lots($1) l cross join payments.policy_now p left join payments.top_up t on t.entry_seq = l.seq order by l.seq desc limit 100
