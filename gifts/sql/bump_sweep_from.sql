select now()::text
