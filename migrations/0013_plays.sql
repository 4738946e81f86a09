-- A play is a song of which at least 30 s were sung (a qualified play); rooms/ tells it once for each singer's take.
create function songs.add_play(p_song bigint) returns void language sql security definer set search_path = songs, pg_temp as
  $$ update song set plays = plays + 1 where id = p_song $$;
revoke execute on function songs.add_play from public;
grant execute on function songs.add_play to ovation_app;
