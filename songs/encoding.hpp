// Song files come in the encodings of thirty years. The order of decision is karaoke.md's: byte order mark, a version that
// forces UTF-8, a legacy #ENCODING, valid UTF-8, else CP1252 as a guess that an operator can mend. ICU converts.
#pragma once
#include <string>
#include <string_view>

#include "base/fault.hpp"

namespace ovation::songs {

struct decoded {
    std::string utf8;
    std::string encoding;  // "UTF-8", "UTF-16LE", "CP1250", …
    bool guessed = false;
};
// `forced`: an operator's word on this file; empty: decide.
result<decoded> decode_song_text(std::string_view bytes, std::string_view forced = {});

// What a search looks in: lower case, without accents, Chinese also as pinyin, joined and by initials
// ("茉莉花" → "茉莉花 mo li hua molihua mlh").
std::string search_text(std::string_view title, std::string_view artist);
std::string search_form(std::string_view query);

}  // namespace ovation::songs
