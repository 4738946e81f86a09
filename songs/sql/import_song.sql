insert into songs.song (content_hash, title, artist, language, year, public_domain, duration_samples, source, lyrics, backing, genre, edition, cover, guide, format, source_encoding, encoding_guessed, deviations, search, voices, scored, scene)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
on conflict (title, artist, content_hash) do update set language = excluded.language, year = excluded.year, public_domain = excluded.public_domain, duration_samples = excluded.duration_samples,
  source = excluded.source, lyrics = excluded.lyrics, backing = excluded.backing, genre = excluded.genre, edition = excluded.edition, cover = excluded.cover, guide = excluded.guide, format = excluded.format,
  source_encoding = excluded.source_encoding, encoding_guessed = excluded.encoding_guessed, deviations = excluded.deviations, search = excluded.search, voices = excluded.voices, scored = excluded.scored, scene = excluded.scene
returning id
