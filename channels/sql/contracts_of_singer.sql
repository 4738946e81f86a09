select k.id, k.channel_id, k.singer_id, s.display_name, k.agent_bp, k.from_date, k.to_date, case when k.state = 'accepted' and k.to_date <= (now() at time zone $2)::date then 'ended' else k.state end,
  (extract(epoch from k.decided_at) * 1000)::bigint, c.preset, c.name
from channels.contract k join channels.channel c on c.id = k.channel_id join identity.person s on s.id = k.singer_id where k.singer_id = $1 order by k.id desc limit 100
