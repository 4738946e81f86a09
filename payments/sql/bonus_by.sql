select b.id, b.coins, case when b.over then 0 else payments.bonus_left(b.id) end, (extract(epoch from b.granted_at) * 1000)::bigint, (extract(epoch from b.expires_at) * 1000)::bigint, b.reason, coalesce(s.entry_seq, 0)
from payments.bonus b left join payments.step s on s.subject = 'bonus' and s.subject_id = b.id and s.state = 'granted' where b.id = $1 or b.user_id = $2 order by b.id desc limit 50
