select 1 from payments.money_case c where c.id = $1 and (c.user_id = $2 or exists (select from payments.case_share h where h.case_id = c.id and h.account = 'earnings:' || $2::bigint))
