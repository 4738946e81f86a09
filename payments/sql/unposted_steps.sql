select distinct s.subject, s.subject_id from payments.step s where s.kind is not null and s.entry_seq is null order by 1, 2
