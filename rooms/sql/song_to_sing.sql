select title, artist, public_domain, content_hash, scored, format, source, source_encoding, voices, duration_samples from songs.songbook where id = $1
