// LRC and enhanced LRC (A2: <mm:ss.xx> before each word; Foobar's [mm:ss.xx] inside a line). No pitch: rhythm and words only.
// Rules where sources disagree (docs/formats.md): a positive offset shows the lyrics sooner; the digits of a fraction are
// tenths, hundredths or milliseconds by their number.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fault.hpp"
#include "songs/ultrastar.hpp"

namespace ovation::songs {

struct lrc_word {
    std::int64_t start_ms = 0;
    std::string text;  // a blank at its end is a word's gap
    bool operator==(const lrc_word&) const = default;
};
struct lrc_line {
    std::int64_t start_ms = 0;            // as shown: the offset is taken off
    std::optional<std::int64_t> end_ms{};  // from a closing <time>
    int voice = both_voices;              // 1: F:, 2: M:
    std::vector<lrc_word> words;          // one, starting with the line, where words have no times; none: clears the screen
    bool operator==(const lrc_line&) const = default;
};
struct lrc_song {
    std::vector<std::pair<std::string, std::string>> tags;  // in order, lower case: ti, ar, al, au, by, length, …
    std::vector<lrc_line> lines;                            // in order of time
    bool enhanced = false;
    std::vector<deviation> deviations;
    std::string encoding = "UTF-8";
    bool encoding_guessed = false;

    [[nodiscard]] std::string tag(std::string_view key) const;
    [[nodiscard]] std::vector<v1::LyricLine> lyrics() const;
};
result<lrc_song> read_lrc(std::string_view bytes, std::string_view encoding = {});
// Reads back as the same song; the offset is in the times.
std::string write_lrc(const lrc_song& song);

}  // namespace ovation::songs
