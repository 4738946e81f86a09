select u.id, u.subject, u.display_name, u.roles, u.banned, u.show_on_boards, u.language, u.password_hash, u.demo from identity.users u where u.issuer = 'ovation' and u.subject = $1
