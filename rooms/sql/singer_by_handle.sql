select id, display_name from identity.person where issuer = 'ovation' and subject = $1 and roles & $2::int <> 0
