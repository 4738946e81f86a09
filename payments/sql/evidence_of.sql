select (extract(epoch from e.at) * 1000)::bigint, u.display_name, e.text from payments.evidence e join identity.person u on u.id = e.by_user where e.case_id = $1 order by e.id
