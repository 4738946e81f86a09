select coalesce(sum(c - 1), 0), (select count(*) from ledger.gift) + (select count(*) from ledger.entry), min(key)
from (select key::text, count(*) as c from ledger.gift group by key having count(*) > 1
      union all select key, count(*) from ledger.entry group by key having count(*) > 1) d
