select id, (extract(epoch from at) * 1000)::bigint, what, coalesce(case_id, 0), amount, reason from payments.notice where user_id = $1 order by id desc limit 20
