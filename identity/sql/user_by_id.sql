select u.id, u.subject, u.display_name, u.roles, u.banned, u.show_on_boards, u.language from identity.users u where u.id = $1
