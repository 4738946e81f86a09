update rooms.show set queue = $2::jsonb where id = $1
