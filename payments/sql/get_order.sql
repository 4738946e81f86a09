select t.user_id, t.state, t.coins, t.price_minor, t.currency, t.provider, coalesce(t.entry_seq, 0), coalesce(b.amount, 0)
from payments.top_up t left join ledger.wallet w on w.user_id = t.user_id left join ledger.balance b on b.account_id = w.wallet_account
where t.id = $1
