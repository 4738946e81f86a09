// UltraStar text files, 0.x to 1.2, with the oddities of thirty years (docs/formats.md lists them with their codes; sources:
// the UltraStar file format and the readers of UltraStar Deluxe and Performous). What deviates is read where a reader can
// tell what was meant, and named with its line; what cannot be sung is refused with its line.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fault.hpp"
#include "ovation/v1/song.pb.h"

namespace ovation::songs {

inline constexpr std::int64_t samples_per_ms = 48;  // all positions are 48 kHz samples of the original

struct deviation {
    int line = 0;      // from 1; 0: the file as a whole
    std::string code;  // stable, snake_case
    std::string text;
    bool operator==(const deviation&) const = default;
};

struct note {
    char kind = ':';          // : normal, * golden, F freestyle, R rap, G golden rap
    std::int64_t start = 0;   // beats from the song's begin
    std::int64_t length = 0;  // 0: not scored
    int pitch = 0;            // semitones from C4
    std::string text;         // a blank at the begin or the end is a word's gap
    bool operator==(const note&) const = default;
};
inline constexpr int both_voices = 0;
struct note_line {
    int voice = 1;                           // 1 … 9, both_voices: a legacy P3
    std::vector<note> notes;
    std::optional<std::int64_t> break_at{};  // beat of the break that ends the line
    bool operator==(const note_line&) const = default;
};
struct tempo {
    std::int64_t beat = 0;
    double bpm = 0;  // a beat is 15 000 / bpm ms
    bool operator==(const tempo&) const = default;
};

struct ultrastar_song {
    std::vector<std::pair<std::string, std::string>> headers;  // in order, keys in upper case, unknown ones too
    std::vector<tempo> tempi;                                  // the first at beat 0
    double gap_ms = 0;
    std::vector<note_line> lines;
    bool has_voices = false;  // the body names its voices
    std::string encoding = "UTF-8";
    bool encoding_guessed = false;
    std::vector<deviation> deviations;

    [[nodiscard]] std::string header(std::string_view key) const;
    [[nodiscard]] double bpm() const { return tempi.front().bpm; }
    // t_ms = GAP + beat × 15 000 / BPM, computed afresh for each beat and piecewise where the tempo changes.
    [[nodiscard]] std::int64_t sample_of(std::int64_t beat) const;
    // Hash of what scoring depends on: BPM, GAP, notes.
    [[nodiscard]] std::string content_hash() const;
    [[nodiscard]] bool public_domain() const { return header("OVATION-RIGHTS") == "public-domain"; }
    // One of base/limits.hpp's scenes, or empty.
    [[nodiscard]] std::string scene() const;
    // The file of the backing beside this one: the instrumental, else the audio. Empty: none.
    [[nodiscard]] std::string backing_file() const;
    [[nodiscard]] std::vector<v1::LyricLine> lyrics() const;
};

struct read_options {
    std::string encoding;        // an operator's word; empty: decide
    bool take_version_2 = false;  // an unpublished draft
};
// The fault names the line, starting at 1.
result<ultrastar_song> read_ultrastar(std::string_view bytes, const read_options& options = {});
// The same song, all notes `semitones` higher.
std::shared_ptr<const ultrastar_song> in_key(ultrastar_song song, int semitones);
// A file that reads back as the same song: UTF-8, LF.
std::string write_ultrastar(const ultrastar_song& song);

}  // namespace ovation::songs
