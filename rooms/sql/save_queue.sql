-- Two saves may meet in the wrong order: the newer one stands.
update rooms.show set queue = $2::jsonb where id = $1 and coalesce((queue->>'version')::bigint, 0) < $3
