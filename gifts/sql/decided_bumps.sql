select key from gifts.bump where state = 'held' and decided is not null order by at limit 1000
