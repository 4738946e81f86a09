with n as (select count(*) as c, coalesce(max(seq), 0) as m, count(distinct seq) as d from (select seq from ledger.gift union all select seq from ledger.entry) s)
select abs(h.seq - n.c) + abs(h.seq - n.m) + abs(n.c - n.d), n.c, format('head %s, entries %s, highest %s', h.seq, n.c, n.m) from n, ledger.head h
