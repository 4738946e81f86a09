select display_name from identity.users where id = $1
