select w.user_id, w.wallet_account, p.amount, p.version, w.gift_only_account, g.amount, g.version, w.bonus_account, b.amount, b.version,
  encode(w.salt, 'hex'), w.frozen, w.daily_limit, coalesce(w.raised_limit, -1), coalesce((extract(epoch from w.raised_from) * 1000000)::bigint, 0), p.spent, p.spent_day
from unnest($1::bigint[]) u (id) join ledger.wallet w on w.user_id = u.id
join ledger.balance p on p.account_id = w.wallet_account join ledger.balance g on g.account_id = w.gift_only_account join ledger.balance b on b.account_id = w.bonus_account
