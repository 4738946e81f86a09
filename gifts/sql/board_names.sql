select id, display_name, show_on_boards from identity.person where id = any($1::bigint[])
