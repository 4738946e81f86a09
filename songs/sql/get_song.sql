select id, title, artist, language, year, duration_samples, public_domain, content_hash, backing, lyrics from songs.song where id = $1
