select title, artist, public_domain, content_hash, scored, format, source, source_encoding, voices, duration_samples from songs.song where id = $1
