with old as (select id, title, source_encoding from songs.song where id = $1 for update),
changed as (update songs.song s set title = $2, artist = $3, lyrics = $4::jsonb, source_encoding = $5, encoding_guessed = false, search = $6 from old where s.id = old.id
  returning s.id, old.title as was, old.source_encoding as was_encoding)
select identity.add_audit($7, 'mend_encoding', 'song:' || id, $8, jsonb_build_object('title', was, 'encoding', was_encoding), jsonb_build_object('title', $2::text, 'encoding', $5::text)) from changed
