select r.name, coalesce(u.display_name, ''), sum(r.rest)::bigint, coalesce(sum(r.rest) filter (where r.at < now() - make_interval(days => p.write_off_days)), 0)::bigint, (extract(epoch from min(r.at)) * 1000)::bigint, p.write_off_days
from ledger.receivables r cross join payments.policy_now p left join identity.person u on r.name = 'receivable:' || u.id
where $1 = '' or r.name = $1 group by r.name, u.display_name, p.write_off_days order by 5
