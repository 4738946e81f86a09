select id from identity.person where issuer = 'ovation' and subject = $1 and roles & (1 << 6) <> 0
