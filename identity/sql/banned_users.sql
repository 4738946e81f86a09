select id from identity.users where banned
