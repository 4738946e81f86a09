#include "songs/render.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <ranges>

#include "songs/sample_rate.hpp"

namespace ovation::songs {
namespace {
constexpr std::int64_t tail_samples = 96'000;
constexpr std::int64_t beats_per_bar = 16;

double hertz(double semitones_from_c4) { return 261.625565 * std::exp2(semitones_from_c4 / 12); }

// A tone with its overtones falling off, soft at both ends.
void add_tone(std::vector<float>& to, std::int64_t start, std::int64_t length, double frequency, double level, double brightness, double decay) {
    const auto first = std::max<std::int64_t>(start, 0);
    const auto end = std::min<std::int64_t>(start + length, static_cast<std::int64_t>(to.size()));
    constexpr double attack = 0.012 * sample_rate, release = 0.05 * sample_rate;
    for (auto i = first; i < end; ++i) {
        const auto t = static_cast<double>(i - start);
        double envelope = std::min(1.0, t / attack) * std::min(1.0, static_cast<double>(end - i) / release);
        envelope *= std::exp(-decay * t / sample_rate);
        double v = 0, amount = 1;
        for (int k = 1; k <= 4; ++k) {
            v += amount * std::sin(2 * std::numbers::pi * frequency * k * t / sample_rate);
            amount *= brightness;
        }
        to[static_cast<std::size_t>(i)] += static_cast<float>(level * envelope * v);
    }
}

// The triad (root 0…11, minor?) that holds most of the sung time of a bar; C, F, G, a, d, e come first on a tie.
struct triad {
    int root;
    bool minor;
};
triad fitting(const std::array<double, 12>& weight) {
    constexpr std::array<triad, 6> common{{{0, false}, {7, false}, {5, false}, {9, true}, {2, true}, {4, true}}};
    triad best = common[0];
    double most = -1;
    for (const auto t : common) {
        const auto at = [&](int semitones) { return weight[static_cast<std::size_t>((t.root + semitones) % 12)]; };
        const double fit = at(0) * 1.2 + at(t.minor ? 3 : 4) + at(7);
        if (fit > most + 1e-9) {
            most = fit;
            best = t;
        }
    }
    return best;
}
}  // namespace

std::vector<float> render(const ultrastar_song& song, part which, int semitones) {
    std::int64_t last_beat = 0;
    for (const auto& line : song.lines)
        for (const auto& n : line.notes) last_beat = std::max(last_beat, n.start + n.length);
    std::vector<float> out(static_cast<std::size_t>(std::max<std::int64_t>(0, song.sample_of(last_beat)) + tail_samples), 0.0f);

    if (which == part::guide) {
        for (const auto& line : song.lines)
            for (const auto& n : line.notes) {
                if (n.kind == 'R' || n.kind == 'G' || n.kind == 'F') continue;
                const auto start = song.sample_of(n.start);
                add_tone(out, start, song.sample_of(n.start + n.length) - start, hertz(n.pitch + semitones), 0.3, 0.35, 0.8);
            }
        return out;
    }
    for (std::int64_t bar = 0; bar < last_beat; bar += beats_per_bar) {
        std::array<double, 12> weight{};
        for (const auto& line : song.lines)
            for (const auto& n : line.notes) {
                const auto overlap = std::min(n.start + n.length, bar + beats_per_bar) - std::max(n.start, bar);
                if (overlap > 0) weight[static_cast<std::size_t>((n.pitch % 12 + 12) % 12)] += static_cast<double>(overlap);
            }
        const auto chord = fitting(weight);
        const int third = chord.minor ? 3 : 4;
        const std::array<int, 4> pattern{0, third, 7, third};
        for (std::int64_t step = 0; step < 8; ++step) {
            const auto start = song.sample_of(bar + step * 2);
            const auto length = song.sample_of(bar + step * 2 + 2) - start;
            if (step % 4 == 0) add_tone(out, start, length * 4, hertz(chord.root - 24 + semitones), 0.22, 0.45, 1.6);
            add_tone(out, start, length * 2, hertz(chord.root - 12 + semitones + pattern[static_cast<std::size_t>(step % 4)]), 0.07, 0.3, 3.0);
        }
    }
    // Four soft ticks lead in, when there is room for them.
    const auto beat = song.sample_of(4) - song.sample_of(0);
    for (int i = 1; i <= 4; ++i) add_tone(out, song.sample_of(0) - beat * i, 2'400, 1'600, 0.05, 0.2, 30);
    const float peak = std::ranges::max(out | std::views::transform([](float v) { return std::fabs(v); }));
    if (peak > 0.8f)
        for (auto& v : out) v *= 0.8f / peak;
    return out;
}

std::vector<float> render_voice(const std::vector<v1::LyricLine>& lines, std::int64_t samples, const voice_options& options) {
    // First formants of an open vowel: centre, width (Hz), level.
    struct formant {
        double centre, width, level;
    };
    constexpr std::array<formant, 3> vowel{{{730, 110, 1.0}, {1090, 130, 0.5}, {2440, 180, 0.25}}};
    constexpr double attack_s = 0.02, release_s = 0.04, vibrato_hz = 5.5, nyquist_part = 7'500;
    std::vector<float> out(static_cast<std::size_t>(std::max<std::int64_t>(samples, 0)), 0.0f);
    constexpr std::size_t table_size = 2'048;
    double phase = 0, before = 0;
    for (const auto& line : lines)
        for (const auto& s : line.syllables()) {
            if (s.length() <= 0 || s.kind() == "F") continue;
            const double target = hertz(s.pitch() + options.cents / 100 + 12 * options.octaves);
            if (before == 0) before = target;
            const auto end = std::min<std::int64_t>(s.start() + s.length(), samples);
            // One period of the note's harmonics under the vowel.
            std::array<float, table_size + 1> period{};
            for (int k = 1; k * target < nyquist_part && k <= 24; ++k) {
                double level = 0.06 / k;
                for (const auto& [centre, width, amount] : vowel) level += amount / k / (1 + std::pow((k * target - centre) / width, 2));
                for (std::size_t i = 0; i <= table_size; ++i) period[i] += static_cast<float>(level * std::sin(2 * std::numbers::pi * k * static_cast<double>(i) / table_size));
            }
            for (auto i = std::max<std::int64_t>(s.start(), 0); i < end; ++i) {
                const double t = static_cast<double>(i - s.start()) / sample_rate;
                const double mix = std::min(1.0, t / std::max(1e-3, options.glide_s));
                double f = before * std::pow(target / before, mix);
                f *= std::exp2(options.vibrato_cents / 1200 * std::sin(2 * std::numbers::pi * vibrato_hz * t) * std::min(1.0, t / 0.2));
                phase += f / sample_rate;
                phase -= std::floor(phase);
                const double envelope = std::min({1.0, t / attack_s, static_cast<double>(end - i) / sample_rate / release_s});
                const double place = phase * table_size;
                const auto at = static_cast<std::size_t>(place);
                const double part = place - static_cast<double>(at);
                const double v = static_cast<double>(period[at]) * (1 - part) + static_cast<double>(period[at + 1]) * part;
                out[static_cast<std::size_t>(i)] += static_cast<float>(0.35 * envelope * v);
            }
            before = target;
        }
    const float peak = out.empty() ? 0.0f : std::ranges::max(out | std::views::transform([](float v) { return std::fabs(v); }));
    if (peak > 0)
        for (auto& v : out) v *= 0.5f / peak;
    return out;
}

}  // namespace ovation::songs
