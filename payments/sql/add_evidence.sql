insert into payments.evidence (case_id, by_user, text) select c.id, $2, $3 from payments.money_case c where c.id = $1 and c.closed_at is null returning id
