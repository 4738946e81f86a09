-- Every word of the search must be found; the most sung first when asked so.
select id, title, artist, language, year, duration_samples, public_domain, content_hash, backing, genre, edition, cover, guide, voices, scored, encoding_guessed, plays, scene from songs.song
where ($4 or id > $2) and ($1 = '' or not exists (select from unnest(string_to_array($1, ' ')) w where strpos(search, w) = 0))
  and ($5 = '' or lower(language) = lower($5)) and ($6 = '' or lower(genre) = lower($6))
order by case when $4 then -plays else 0 end, id limit $3 offset case when $4 then $2 else 0 end
