insert into rooms.performance (show_id, singer_id, song_id, key, seats, level, host_voice) select nullif($1::bigint, 0), $2, s.id, $4, $5, $6, $7 from songs.songbook s where s.id = $3 returning id
