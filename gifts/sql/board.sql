select * from (
  select row_number() over (order by s.coins desc, s.reached, s.subject_id) as rank, s.subject_id, u.display_name, s.coins, u.show_on_boards
  from (
    select subject_id, sum(coins)::bigint as coins, max(reached) as reached from gifts.board_bucket
    where scope = $1 and scope_id = $2 and subject = $3
      and day >= case when $4 = 'all' then '-infinity'::date else date_trunc(nullif($4, 'all'), now() at time zone $5)::date end
    group by subject_id
  ) s join identity.person u on u.id = s.subject_id
) r where rank <= $6 or subject_id = $7 order by rank
