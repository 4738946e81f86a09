// A recording as people share it: the singers' own packets over the backing, dressed, at −16 LUFS with peaks under −1 dBTP.
// CPU work: on a worker.
#pragma once
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/fault.hpp"
#include "songs/recording.hpp"
#include "songs/rendition.hpp"

namespace ovation::songs {

// A piece of the mix, one after the other without pauses: from `at` on, mix sample − at + position is the song position.
struct mix_piece {
    std::int64_t at = 0;          // in the mix
    std::int64_t length = 0;
    std::int64_t media_time = 0;  // the room's, where the piece begins
    std::int64_t position = 0;    // the song's
    bool operator==(const mix_piece&) const = default;
};
// What of the parts is heard, in order. Pauses are left out; a start over (back to the song's first second) begins anew.
std::vector<mix_piece> plan_mix(const std::vector<std::vector<recorded_stretch>>& parts);

struct mixed {
    pcm sound;                     // stereo
    std::vector<mix_piece> pieces;
    double loudness_lufs = 0;      // after the gain
    double true_peak_db = 0;
    double gain_db = 0;
};
inline constexpr double loudness_wanted_lufs = -16, true_peak_max_db = -1;
result<mixed> mix(const std::vector<std::vector<recorded_stretch>>& parts, const std::shared_ptr<const rendition>& backing, std::string_view effect);

// Writes `stem`.opus and, for players that need it, `stem`.m4a; whole or not at all. Returns the bytes of both.
result<std::int64_t> share(const mixed& of, const std::filesystem::path& stem, std::vector<std::pair<std::string, std::string>> tags);

}  // namespace ovation::songs
