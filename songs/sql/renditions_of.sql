select id, file from songs.rendition where song_id = $1 order by id
