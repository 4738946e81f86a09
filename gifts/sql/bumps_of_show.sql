select request_id, user_id, performance_id, route, state = 'held' and decided is null from gifts.bump
where show_id = $1 and state in ('held', 'captured') and decided is distinct from 'release' order by at, key
