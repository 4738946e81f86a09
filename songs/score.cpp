#include "songs/score.hpp"

#include <algorithm>
#include <array>
#include <cfenv>
#include <cmath>

namespace ovation::songs {
namespace {
constexpr double note_points = 9'000, line_points = 1'000;
constexpr double line_slack = 2;  // points that a line may miss and still be whole
constexpr int rating_most = 8;
constexpr std::int64_t gap_forgiven_ms = 100;
constexpr int usdx_low = -24, usdx_high = 24;  // C2 … C6
constexpr std::int64_t offset_from_ms = -100, offset_to_ms = 600, offset_step_ms = 10;
constexpr std::int64_t offset_needs_ms = 8'000;  // of voiced singing inside notes

double factor(char kind) {
    switch (kind) {
        case ':': case 'R': return 1;
        case '*': case 'G': return 2;
        default: return 0;
    }
}
bool golden(char kind) { return kind == '*' || kind == 'G'; }
bool rap(char kind) { return kind == 'R' || kind == 'G'; }

// Half to even, as the original's language rounds.
int rounded(double v) { return static_cast<int>(std::nearbyint(v)); }

// Difference of two pitches in cents after folding octaves: −600 … 600.
int folded_cents(int sung, int written) {
    int d = (sung - written) % 1'200;
    if (d > 600) d -= 1'200;
    if (d < -600) d += 1'200;
    return d;
}
std::int64_t middle_of(const ultrastar_song& song, std::int64_t beat) { return (song.sample_of(beat) + song.sample_of(beat + 1)) / 2; }
}  // namespace

std::string_view name_of(score_rules r) { return r == score_rules::usdx_1 ? "usdx-1" : "ovation-1"; }
std::string_view name_of(score_level l) { return l == score_level::easy ? "easy" : l == score_level::medium ? "medium" : "hard"; }
std::optional<score_rules> rules_named(std::string_view name) {
    for (const auto r : {score_rules::usdx_1, score_rules::ovation_1})
        if (name == name_of(r)) return r;
    return std::nullopt;
}
std::optional<score_level> level_named(std::string_view name) {
    for (const auto l : {score_level::easy, score_level::medium, score_level::hard})
        if (name == name_of(l)) return l;
    return std::nullopt;
}

bool sings(const note_line& line, int voice) { return line.voice == both_voices || line.voice == voice; }

score_total count_points(const ultrastar_song& song, int voice, const std::vector<std::vector<std::int64_t>>& hits) {
    double value = 0;
    std::size_t lines_worth = 0;
    for (const auto& line : song.lines) {
        if (!sings(line, voice)) continue;
        double worth = 0;
        for (const auto& n : line.notes) worth += static_cast<double>(n.length) * factor(n.kind);
        value += worth;
        lines_worth += worth > 0 ? 1 : 0;
    }
    score_total out;
    if (value == 0) return out;
    double normal = 0, gold = 0, bonus = 0;
    for (std::size_t l = 0; l < song.lines.size(); ++l) {
        const auto& line = song.lines[l];
        if (!sings(line, voice)) continue;
        line_score s;
        s.line = l;
        for (std::size_t i = 0; i < line.notes.size(); ++i) {
            const auto& n = line.notes[i];
            const double each = note_points / value * factor(n.kind);
            const double got = each * static_cast<double>(hits[l][i]);
            (golden(n.kind) ? gold : normal) += got;
            s.points += got;
            s.most += each * static_cast<double>(n.length);
            s.end = std::max(s.end, song.sample_of(n.start + n.length));
        }
        if (s.most > 0) {
            s.share = s.most <= line_slack ? 1 : std::clamp(s.points / (s.most - line_slack), 0.0, 1.0);
            bonus += line_points / static_cast<double>(lines_worth) * s.share;
        }
        s.rating = rounded(s.share * rating_most);
        out.lines.push_back(s);
    }
    out.exact_line = bonus;
    out.points = rounded(normal + gold + bonus);
    out.normal = rounded(normal);
    out.golden = rounded(gold);
    out.line = out.points - out.normal - out.golden;  // what rounding left lies here
    return out;
}

std::vector<std::int64_t> judge_line(const ultrastar_song& song, const note_line& line, const pitch_track& track, const judge_options& how) {
    enum class verdict : std::uint8_t { miss, hit, unvoiced };
    const auto late = how.offset_ms * samples_per_ms;
    const std::array<int, 3> cents{150, 100, 50}, semitones{2, 1, 0};
    const auto level = static_cast<std::size_t>(how.level);
    struct beat {
        std::size_t note;
        std::int64_t number;
        verdict v;
    };
    std::vector<beat> beats;
    std::int64_t covered_to = INT64_MIN;
    std::vector<std::int16_t> inside;
    for (std::size_t i = 0; i < line.notes.size(); ++i) {
        const auto& n = line.notes[i];
        if (factor(n.kind) == 0) continue;
        // Where notes overlap, the first that covers the beat has it.
        for (auto b = std::max(n.start, covered_to); b < n.start + n.length; ++b) {
            auto v = verdict::unvoiced;
            if (how.rules == score_rules::usdx_1) {
                const auto heard = track.at(middle_of(song, b) + late);
                if (heard > pitch_track::unvoiced) {
                    const int tone = rounded(heard / 100.0);
                    if (tone >= usdx_low && tone <= usdx_high) v = rap(n.kind) || std::abs(folded_cents(tone * 100, n.pitch * 100)) <= semitones[level] * 100 ? verdict::hit : verdict::miss;
                }
            } else {
                inside.clear();
                const auto from = pitch_track::slot_of(song.sample_of(b) + late), to = std::max(from + 1, pitch_track::slot_of(song.sample_of(b + 1) + late));
                for (auto slot = from; slot < to; ++slot)
                    if (const auto heard = track.in_slot(slot); heard > pitch_track::unvoiced) inside.push_back(heard);
                if (!inside.empty()) {
                    const auto middle = inside.begin() + static_cast<std::ptrdiff_t>(inside.size() / 2);
                    std::ranges::nth_element(inside, middle);
                    v = rap(n.kind) || std::abs(folded_cents(*middle, n.pitch * 100)) <= cents[level] ? verdict::hit : verdict::miss;
                }
            }
            beats.push_back({i, b, v});
        }
        covered_to = std::max(covered_to, n.start + n.length);
    }
    if (how.rules == score_rules::ovation_1) {
        // Consonants: a gap without voice of up to 100 ms between two hits.
        for (std::size_t i = 0; i < beats.size(); ++i) {
            if (beats[i].v != verdict::unvoiced) continue;
            std::size_t end = i;
            while (end < beats.size() && beats[end].v == verdict::unvoiced) ++end;
            const bool between = i > 0 && beats[i - 1].v == verdict::hit && end < beats.size() && beats[end].v == verdict::hit;
            const auto length = song.sample_of(beats[end - 1].number + 1) - song.sample_of(beats[i].number);
            for (auto k = i; k < end; ++k)
                if (between && length <= gap_forgiven_ms * samples_per_ms) beats[k].v = verdict::hit;
            i = end;
        }
    }
    std::vector<std::int64_t> out(line.notes.size(), 0);
    for (const auto& b : beats) out[b.note] += b.v == verdict::hit ? 1 : 0;
    return out;
}

score_total judge(const ultrastar_song& song, const pitch_track& track, const judge_options& how) {
    std::vector<std::vector<std::int64_t>> hits(song.lines.size());
    for (std::size_t l = 0; l < song.lines.size(); ++l)
        if (sings(song.lines[l], how.voice)) hits[l] = judge_line(song, song.lines[l], track, how);
    return count_points(song, how.voice, hits);
}

std::optional<std::int64_t> find_offset(const ultrastar_song& song, int voice, const pitch_track& track) {
    struct span {
        std::int64_t from, to;
        int cents;
    };
    std::vector<span> notes;
    for (const auto& line : song.lines) {
        if (!sings(line, voice)) continue;
        for (const auto& n : line.notes)
            if (factor(n.kind) > 0 && !rap(n.kind) && n.length > 0) notes.push_back({song.sample_of(n.start), song.sample_of(n.start + n.length), n.pitch * 100});
    }
    std::optional<std::int64_t> best;
    std::int64_t most = 0, voiced_most = 0;
    std::vector<std::pair<std::int64_t, std::int64_t>> scores;
    for (auto ms = offset_from_ms; ms <= offset_to_ms; ms += offset_step_ms) {
        std::int64_t good = 0, voiced = 0;
        for (const auto& n : notes)
            for (auto slot = pitch_track::slot_of(n.from + ms * samples_per_ms); slot < pitch_track::slot_of(n.to + ms * samples_per_ms); ++slot) {
                const auto heard = track.in_slot(slot);
                if (heard <= pitch_track::unvoiced) continue;
                ++voiced;
                good += std::abs(folded_cents(heard, n.cents)) <= 80 ? 1 : 0;
            }
        scores.emplace_back(ms, good);
        voiced_most = std::max(voiced_most, voiced);
        most = std::max(most, good);
    }
    if (voiced_most * 10 < offset_needs_ms || most * 2 < voiced_most) return std::nullopt;
    // The middle of the plateau within 1 % of the best: glides blur the edges.
    std::int64_t sum = 0, count = 0;
    for (const auto& [ms, good] : scores)
        if (good * 100 >= most * 99) {
            sum += ms;
            ++count;
        }
    best = static_cast<std::int64_t>(std::llround(static_cast<double>(sum) / static_cast<double>(count)));
    return best;
}

}  // namespace ovation::songs
