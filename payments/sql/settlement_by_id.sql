select (select count(*) from payments.settlement_item i where i.settlement_id = s.id), s.gross_minor, s.fee_minor, coalesce(x.entry_seq, 0)
from payments.settlement s join payments.step x on x.subject = 'settlement' and x.subject_id = s.id where s.id = $1
