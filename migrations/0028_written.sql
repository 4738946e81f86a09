-- Entries other than gifts, with their accounts' names: for whoever compares the books with what stands beside them.
create view ledger.written as
select e.seq, e.kind, e.key, e.reference, e.detail, e.amounts,
  (select coalesce(array_agg(a.name order by u.i), '{}') from unnest(e.accounts) with ordinality u (id, i) join ledger.account a on a.id = u.id) as accounts
from ledger.entry e;
grant select on ledger.written to ovation_app;
