-- Two pages at once earn no more than one: the last one was at least (nearly) ten minutes ago.
insert into gifts.free_gift as f (user_id, day, earned) values ($1, (now() at time zone $2)::date, 1)
on conflict (user_id, day) do update set earned = least(f.earned + 1, 10), earned_at = now() where f.earned_at <= now() - interval '9 minutes 50 seconds'
