select a.kind, count(*), sum(b.amount) from ledger.standings b join ledger.account a on a.id = b.account_id group by a.kind order by a.kind
