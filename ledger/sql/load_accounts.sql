select a.name, a.id, a.floored, a.whole_coins, b.amount, b.version, b.spent, b.spent_day
from unnest($1::text[]) u (name) join ledger.account a on a.name = u.name join ledger.balance b on b.account_id = a.id
