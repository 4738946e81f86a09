-- What is posted stands in the books as it was written down, step follows step, and no entry of these keys lacks its step.
with told as (
  select s.*, lag(s.state, 1, '') over w as before, row_number() over w as place from payments.step s window w as (partition by s.subject, s.subject_id order by s.n)
)
select count(*) filter (where bad), count(*), min(name) filter (where bad)
from (
  select s.key as name, s.n <> s.place or s.was <> s.before or s.key <> s.subject || ':' || s.subject_id || ':' || s.n
    or s.entry_seq is not null and (s.kind, s.key, s.reference, s.accounts, s.amounts, s.detail) is distinct from (e.kind, e.key, e.reference, e.accounts, e.amounts, e.detail) as bad
  from told s left join ledger.written e on e.seq = s.entry_seq
  union all
  select e.key, not exists (select from payments.step s where s.key = e.key)
  from ledger.written e where e.key ~ '^[a-z_]+:[0-9]+:[0-9]+$' and split_part(e.key, ':', 1) in (select m.subject from payments.move m)
) x
