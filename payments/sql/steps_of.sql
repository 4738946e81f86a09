select s.subject_id, s.state, (extract(epoch from s.at) * 1000)::bigint, coalesce(s.entry_seq, 0), s.reason, coalesce(u.display_name, '')
from payments.step s left join identity.person u on u.id = s.actor_id where s.subject = $1 and s.subject_id = any ($2::bigint[]) order by s.id
