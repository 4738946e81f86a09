select encode(value, 'hex') from identity.secret where name = 'token_key'
