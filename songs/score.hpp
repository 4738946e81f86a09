// Judging what was sung: the rules `usdx-1` (as UltraStar Deluxe has them: UNote.pas, UScreenSingController.pas) and
// `ovation-1` (ours). A score is a pure function of song, track, rules, level and offset; karaoke.md section 2 has the vectors.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "songs/pitch.hpp"
#include "songs/ultrastar.hpp"

namespace ovation::songs {

enum class score_rules { usdx_1, ovation_1 };
enum class score_level { easy, medium, hard };
std::string_view name_of(score_rules r);
std::string_view name_of(score_level l);
std::optional<score_rules> rules_named(std::string_view name);
std::optional<score_level> level_named(std::string_view name);

struct line_score {
    std::size_t line = 0;   // index in song.lines
    double points = 0;      // of notes, without the bonus
    double most = 0;
    double share = 0;       // of the line bonus, 0 … 1
    int rating = 0;         // 0 … 8
    std::int64_t end = 0;   // song position, samples
};
struct score_total {
    int points = 0;  // 0 … 10 000 = normal + golden + line
    int normal = 0, golden = 0, line = 0;
    double exact_line = 0;
    std::vector<line_score> lines;
};

// Beats of each note that were hit → points. `hits[line][note]`, in the order of the song; lines of other voices are empty.
score_total count_points(const ultrastar_song& song, int voice, const std::vector<std::vector<std::int64_t>>& hits);

struct judge_options {
    score_rules rules = score_rules::ovation_1;
    score_level level = score_level::medium;
    int voice = 1;               // a duet's singer takes 1 or 2; lines of both count for each
    std::int64_t offset_ms = 0;  // by which this device's voice is late after its own calibration
};
bool sings(const note_line& line, int voice);
// Beats hit in each note of one line.
std::vector<std::int64_t> judge_line(const ultrastar_song& song, const note_line& line, const pitch_track& track, const judge_options& how);
score_total judge(const ultrastar_song& song, const pitch_track& track, const judge_options& how);

// The lateness between −100 and +600 ms at which track and notes match best, and how much better than by chance; nothing
// while less than 20 s of notes were heard.
std::optional<std::int64_t> find_offset(const ultrastar_song& song, int voice, const pitch_track& track);

}  // namespace ovation::songs
