// UltraStar 1.x text files (docs/formats.md has the rules; source: the UltraStar file format, v1). Well-formed files only:
// each deviation is refused with its line.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fault.hpp"
#include "ovation/v1/song.pb.h"

namespace ovation::songs {

inline constexpr std::int64_t samples_per_ms = 48;  // all positions are 48 kHz samples of the original

struct note {
    char kind = ':';              // : normal, * golden, F freestyle, R rap, G golden rap
    std::int64_t start = 0;       // beats
    std::int64_t length = 0;
    int pitch = 0;                // semitones from C4
    std::string text;
};
struct note_line {
    int voice = 1;
    std::vector<note> notes;
};

struct ultrastar_song {
    std::map<std::string, std::string> headers;  // upper-case keys
    double bpm = 0;                              // as written: a beat is 15 000 / bpm ms
    double gap_ms = 0;
    std::vector<note_line> lines;

    [[nodiscard]] std::string header(const std::string& key) const {
        const auto at = headers.find(key);
        return at == headers.end() ? std::string() : at->second;
    }
    // t_ms = GAP + beat × 15 000 / BPM, computed afresh for each beat.
    [[nodiscard]] std::int64_t sample_of(std::int64_t beat) const;
    // Hash of what scoring depends on: BPM, GAP, notes.
    [[nodiscard]] std::string content_hash() const;
    [[nodiscard]] bool public_domain() const { return header("OVATION-RIGHTS") == "public-domain"; }
    [[nodiscard]] std::vector<v1::LyricLine> lyrics() const;
};

// The fault names the line, starting at 1.
result<ultrastar_song> read_ultrastar(std::string_view text);

}  // namespace ovation::songs
