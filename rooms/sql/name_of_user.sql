select display_name from identity.person where id = $1
