select user_id, frozen, daily_limit, coalesce(raised_limit, -1), coalesce((extract(epoch from raised_from) * 1000000)::bigint, 0)
from ledger.wallet where user_id in (select user_id from ledger.limit_change where n > $1)
