-- Asked for, and the books refused it: with all that was written down since.
with refused as (select subject_id from payments.step where subject = 'payout' and subject_id = $1 and n = 1 and entry_seq is null),
gone as (delete from payments.step s using refused r where s.subject = 'payout' and s.subject_id = r.subject_id and s.entry_seq is null returning s.subject_id)
delete from payments.payout p using gone where p.id = gone.subject_id
