update channels.contract set state = case when $2 then 'accepted' else 'declined' end, decided_at = now() where id = $1 and state = 'offered' returning id
