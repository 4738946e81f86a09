select count(*) filter (where a.floored and p.balance_after < 0), count(*), min(format('%s at seq %s', p.account_name, p.seq)) filter (where a.floored and p.balance_after < 0)
from ledger.posting_in_order p join ledger.account a on a.id = p.account
