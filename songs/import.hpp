// From files to the catalogue: reading, renditions, guide track, cover. `ovation songs import|lint|export` and the operator's
// mending of an encoding stand on it.
#pragma once
#include <filesystem>
#include <functional>
#include <vector>

#include "base/cores.hpp"
#include "songs/lrc.hpp"
#include "songs/rendition.hpp"
#include "songs/ultrastar.hpp"

namespace ovation::songs {

struct import_options {
    std::filesystem::path media_root;
    std::string encoding;          // an operator's word for all files; empty: decide for each
    std::vector<int> keys{0};      // renditions to make, semitones
};
struct imported {
    std::string file;
    result<song_id> outcome;
    std::vector<deviation> deviations;
};
// Every .txt and .lrc at or below `from`, told one by one as they are done.
awaitable<result<int>> import_songs(pg::pool& db, std::filesystem::path from, import_options options, std::function<void(const imported&)> told);

// What is read from one file, whatever its format; the lyrics model is the same for all.
struct song_file {
    std::string title, artist, language, year, genre, edition, cover, backing, format = "ultrastar", hash, encoding, scene;
    bool guessed = false, public_domain = false, scored = true;
    std::vector<v1::LyricLine> lines;
    std::vector<deviation> deviations;
    std::optional<ultrastar_song> notes;
};
result<song_file> read_song(std::string_view bytes, const std::string& format, const std::string& encoding, const std::string& fallback_title);

// The stored song as a file again: UltraStar or LRC as it came, UTF-8.
awaitable<result<std::string>> export_song(pg::pool& db, song_id song);

}  // namespace ovation::songs
