insert into rooms.room (channel_id, singer_id, name) select $1, u.id, $2 from identity.person u where u.issuer = 'ovation' and u.subject = $3 and u.roles & $4::int <> 0 returning id
