select c.agent_id, c.preset, k.id, k.agent_bp from channels.channel c
left join channels.contract k on k.channel_id = c.id and k.singer_id = $2 and k.state = 'accepted'
  and (now() at time zone $3)::date >= k.from_date and (k.to_date is null or (now() at time zone $3)::date < k.to_date)
where c.id = $1
