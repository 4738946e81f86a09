select p.id, p.held_from from payments.payout p join payments.payee y on y.user_id = p.user_id where p.state = 'held' and p.held_until <= now() and y.verified_at is not null order by p.id limit 200
