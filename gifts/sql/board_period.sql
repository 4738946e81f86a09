select case $1 when 'all' then 'a' else left($1, 1) || date_trunc(nullif($1, 'all'), now() at time zone $2)::date end
