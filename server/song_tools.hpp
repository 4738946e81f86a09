// `ovation songs import|lint|export|score`.
#pragma once
#include <cstdint>
#include <string>

#include "base/config.hpp"

namespace ovation::server {

struct song_arguments {
    std::string path, encoding, song, rules = "ovation-1", level = "medium";
    std::string keys = "-6:6";
    std::int64_t id = 0;
    int offset_ms = 0;
};
// Exit codes; what cannot be done at all is thrown as a sentence.
int import_songs(const config& c, const song_arguments& a);
int lint_songs(const song_arguments& a);
int export_song(const config& c, const song_arguments& a);
int score_song(const config& c, const song_arguments& a);

}  // namespace ovation::server
