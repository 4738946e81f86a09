#include "songs/render.hpp"

#include <opus/opus.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numbers>
#include <ranges>
#include <stdexcept>

#include "songs/ogg_opus.hpp"

namespace ovation::songs {
namespace {
constexpr double rate = 48'000;
constexpr std::int64_t tail_samples = 96'000;
constexpr std::int64_t beats_per_bar = 16;
constexpr int bits_per_second = 96'000;

double hertz(double semitones_from_c4) { return 261.625565 * std::exp2(semitones_from_c4 / 12); }

// A tone with its overtones falling off, soft at both ends.
void add_tone(std::vector<float>& to, std::int64_t start, std::int64_t length, double frequency, double level, double brightness, double decay) {
    const auto first = std::max<std::int64_t>(start, 0);
    const auto end = std::min<std::int64_t>(start + length, static_cast<std::int64_t>(to.size()));
    constexpr double attack = 0.012 * rate, release = 0.05 * rate;
    for (auto i = first; i < end; ++i) {
        const auto t = static_cast<double>(i - start);
        double envelope = std::min(1.0, t / attack) * std::min(1.0, static_cast<double>(end - i) / release);
        envelope *= std::exp(-decay * t / rate);
        double v = 0, amount = 1;
        for (int k = 1; k <= 4; ++k) {
            v += amount * std::sin(2 * std::numbers::pi * frequency * k * t / rate);
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

std::vector<float> render_backing(const ultrastar_song& song) {
    std::int64_t last_beat = 0;
    for (const auto& line : song.lines) last_beat = std::max(last_beat, line.notes.back().start + line.notes.back().length);
    std::vector<float> out(static_cast<std::size_t>(song.sample_of(last_beat) + tail_samples), 0.0f);

    for (const auto& line : song.lines)
        for (const auto& n : line.notes) {
            if (n.kind == 'R' || n.kind == 'G' || n.kind == 'F') continue;
            const auto start = song.sample_of(n.start);
            add_tone(out, start, song.sample_of(n.start + n.length) - start, hertz(n.pitch), 0.16, 0.35, 0.8);
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
            if (step % 4 == 0) add_tone(out, start, length * 4, hertz(chord.root - 24), 0.22, 0.45, 1.6);
            add_tone(out, start, length * 2, hertz(chord.root - 12 + pattern[static_cast<std::size_t>(step % 4)]), 0.07, 0.3, 3.0);
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

std::string encode_backing(const std::vector<float>& samples, const ultrastar_song& song) {
    int failed = 0;
    std::unique_ptr<OpusEncoder, void (*)(OpusEncoder*)> encoder(opus_encoder_create(48'000, 1, OPUS_APPLICATION_AUDIO, &failed), &opus_encoder_destroy);
    if (failed != OPUS_OK) throw std::runtime_error("libopus cannot start");
    opus_encoder_ctl(encoder.get(), OPUS_SET_BITRATE(bits_per_second));
    opus_encoder_ctl(encoder.get(), OPUS_SET_SIGNAL(OPUS_SIGNAL_MUSIC));
    std::string file;
    ogg_opus_writer writer([&](std::string_view bytes) { file += bytes; }, 1, 1, {{"TITLE", song.header("TITLE")}, {"ARTIST", song.header("ARTIST")}, {"OVATION_SONG_HASH", song.content_hash()}});
    const auto packets = (static_cast<std::int64_t>(samples.size()) + opus_pre_skip + packet_samples - 1) / packet_samples;
    std::array<float, packet_samples> frame{};
    std::array<unsigned char, 1500> bytes{};
    for (std::int64_t i = 0; i < packets; ++i) {
        for (int k = 0; k < packet_samples; ++k) {
            const auto at = static_cast<std::size_t>(i * packet_samples + k);
            frame[static_cast<std::size_t>(k)] = at < samples.size() ? samples[at] : 0.0f;
        }
        opus_encoder_ctl(encoder.get(), OPUS_SET_PREDICTION_DISABLED(i % access_point_every == 0 ? 1 : 0));
        const auto size = opus_encode_float(encoder.get(), frame.data(), packet_samples, bytes.data(), static_cast<opus_int32>(bytes.size()));
        if (size < 0) throw std::runtime_error("libopus cannot encode");
        writer.add({reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size)}, i + 1 == packets);
    }
    return file;
}

}  // namespace ovation::songs
