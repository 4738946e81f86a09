select id, source, title, artist, format, source_encoding from songs.song where id = $1
