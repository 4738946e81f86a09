select id, display_name, show_on_boards from identity.users where id = any($1::bigint[])
