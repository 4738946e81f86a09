select t.user_id, t.state, t.coins, t.price_minor, t.currency, t.provider, coalesce(t.entry_seq, 0), coalesce(c.wallet, 0), t.pay_url
from payments.top_up t left join ledger.coins c on c.user_id = t.user_id
where t.id = $1
