#include "songs/mix.hpp"

#include <ebur128.h>
#include <fcntl.h>
#include <opus/opus.h>
#include <spawn.h>
#include <spdlog/fmt/fmt.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include "songs/effects.hpp"
#include "songs/in_order.hpp"
#include "songs/sample_rate.hpp"

extern char** environ;

namespace ovation::songs {
namespace {
constexpr std::int64_t mix_length_max = 900 * sample_rate;
constexpr std::int64_t fade = 240;
constexpr float backing_gain = 0.8f;  // as the pages play it
constexpr int rounds_max = 4;
constexpr int share_bits = 128'000;

using decoder = std::unique_ptr<OpusDecoder, void (*)(OpusDecoder*)>;
decoder make_decoder(int channels) {
    int failed = 0;
    return {opus_decoder_create(static_cast<opus_int32>(sample_rate), channels, &failed), &opus_decoder_destroy};
}
// Decodes packet after packet; what cannot be decoded is concealed.
template <class Take>
void decode(OpusDecoder& with, int channels, const std::vector<std::string>& packets, std::size_t first, std::size_t end, Take take) {
    std::array<float, static_cast<std::size_t>(packet_samples) * 2> frame{};
    for (auto i = first; i < std::min(end, packets.size()); ++i) {
        const auto& p = packets[i];
        auto got = p.size() <= 1 ? opus_decode_float(&with, nullptr, 0, frame.data(), packet_samples, 0)
                                 : opus_decode_float(&with, reinterpret_cast<const unsigned char*>(p.data()), static_cast<opus_int32>(p.size()), frame.data(), packet_samples, 0);
        if (got != packet_samples) std::ranges::fill(frame, 0.0f);
        take(static_cast<std::int64_t>(i), frame.data(), channels);
    }
}

struct loudness {
    double lufs = -70, peak_db = -70;
};
loudness measure(const pcm& of) {
    std::unique_ptr<ebur128_state, void (*)(ebur128_state*)> state(ebur128_init(static_cast<unsigned>(of.channels), sample_rate, EBUR128_MODE_I | EBUR128_MODE_TRUE_PEAK), [](ebur128_state* s) { ebur128_destroy(&s); });
    if (!state) return {};
    ebur128_add_frames_float(state.get(), of.samples.data(), static_cast<std::size_t>(of.frames()));
    loudness out;
    ebur128_loudness_global(state.get(), &out.lufs);
    double peak = 0;
    for (unsigned c = 0; c < static_cast<unsigned>(of.channels); ++c) {
        double one = 0;
        ebur128_true_peak(state.get(), c, &one);
        peak = std::max(peak, one);
    }
    out.peak_db = 20 * std::log10(std::max(peak, 1e-6));
    if (!std::isfinite(out.lufs)) out.lufs = -70;
    return out;
}
// Peaks above `top` are turned down, 2 ms ahead of them and 80 ms behind.
void limit(pcm& of, float top) {
    constexpr std::int64_t ahead = 96;
    const double release = std::exp(-1.0 / (0.08 * static_cast<double>(sample_rate)));
    const auto frames = of.frames();
    std::vector<float> need(static_cast<std::size_t>(frames), 1.0f);
    for (std::int64_t i = 0; i < frames; ++i) {
        const auto k = static_cast<std::size_t>(i) * 2;
        const float high = std::max(std::abs(of.samples[k]), std::abs(of.samples[k + 1]));
        if (high > top)
            for (std::int64_t j = std::max<std::int64_t>(0, i - ahead); j <= i; ++j) need[static_cast<std::size_t>(j)] = std::min(need[static_cast<std::size_t>(j)], top / high);
    }
    double gain = 1;
    for (std::int64_t i = 0; i < frames; ++i) {
        const auto wanted = static_cast<double>(need[static_cast<std::size_t>(i)]);
        gain = wanted < gain ? wanted : wanted + (gain - wanted) * release;
        of.samples[static_cast<std::size_t>(i) * 2] *= static_cast<float>(gain);
        of.samples[static_cast<std::size_t>(i) * 2 + 1] *= static_cast<float>(gain);
    }
}

void lay_backing(const rendition& of, const mix_piece& piece, pcm& to) {
    const auto with = make_decoder(of.channels);
    const auto covering = std::max<std::int64_t>(0, (piece.position + opus_pre_skip) / packet_samples);
    const auto first = std::max<std::int64_t>(0, (covering - 1) / access_point_every * access_point_every);
    const auto end = std::max<std::int64_t>(0, (piece.position + piece.length + opus_pre_skip) / packet_samples + 1);
    decode(*with, of.channels, of.packets, static_cast<std::size_t>(first), static_cast<std::size_t>(end), [&](std::int64_t i, const float* frame, int channels) {
        const auto from = i * packet_samples - opus_pre_skip - piece.position;  // in the piece
        for (std::int64_t k = std::max<std::int64_t>(0, -from); k < packet_samples && from + k < piece.length; ++k) {
            const auto in = from + k;
            const float soft = backing_gain * static_cast<float>(std::min({fade, in, piece.length - in})) / static_cast<float>(fade);
            const auto at = static_cast<std::size_t>(piece.at + in) * 2;
            to.samples[at] += soft * frame[k * channels];
            to.samples[at + 1] += soft * frame[k * channels + channels - 1];
        }
    });
}
void lay_voice(const recorded_stretch& of, const mix_piece& piece, std::vector<float>& to) {
    if (of.end() <= piece.media_time || of.media_time >= piece.media_time + piece.length) return;
    const auto with = make_decoder(1);
    const auto end = std::clamp<std::int64_t>((piece.media_time + piece.length - of.media_time) / packet_samples + 1, 0, static_cast<std::int64_t>(of.packets.size()));
    decode(*with, 1, of.packets, 0, static_cast<std::size_t>(end), [&](std::int64_t i, const float* frame, int) {
        const auto from = of.media_time + i * packet_samples - piece.media_time;
        for (std::int64_t k = std::max<std::int64_t>(0, -from); k < packet_samples && from + k < piece.length; ++k) {
            const auto in = from + k;
            to[static_cast<std::size_t>(piece.at + in)] += frame[k] * static_cast<float>(std::min({fade, in, piece.length - in})) / static_cast<float>(fade);
        }
    });
}
}  // namespace

std::vector<mix_piece> plan_mix(const std::vector<std::vector<recorded_stretch>>& parts) {
    std::vector<const recorded_stretch*> all;
    for (const auto& part : parts)
        for (const auto& s : part) all.push_back(&s);
    put_in_order(all, [](const recorded_stretch* s) { return s->media_time; });
    std::vector<mix_piece> out;
    for (const auto* s : all) {
        const bool goes_on = !out.empty() && s->media_time <= out.back().media_time + out.back().length + packet_samples &&
                             std::llabs(s->offset() - (out.back().media_time - out.back().position)) <= packet_samples;
        if (goes_on) {
            out.back().length = std::max(out.back().length, s->end() - out.back().media_time);
            continue;
        }
        mix_piece p{0, s->length(), s->media_time, s->position};
        if (!out.empty()) {
            // Where two overlap the newer one is heard.
            auto& before = out.back();
            before.length = std::max<std::int64_t>(0, std::min(before.length, p.media_time - before.media_time));
        }
        if (p.position < sample_rate) out.clear();
        out.push_back(p);
    }
    std::erase_if(out, [](const mix_piece& p) { return p.length <= 0; });
    std::int64_t at = 0;
    for (auto& p : out) {
        p.at = at;
        p.length = std::min(p.length, mix_length_max - at);
        at += p.length;
    }
    return out;
}

result<mixed> mix(const std::vector<std::vector<recorded_stretch>>& parts, const std::shared_ptr<const rendition>& backing, std::string_view effect) {
    mixed out;
    out.pieces = plan_mix(parts);
    if (out.pieces.empty()) return precondition("nothing_sung", "Nothing was sung in this recording.");
    const auto frames = static_cast<std::size_t>(out.pieces.back().at + out.pieces.back().length);
    out.sound = {2, std::vector<float>(frames * 2, 0.0f)};
    for (const auto& part : parts) {
        std::vector<float> voice(frames, 0.0f);
        for (const auto& s : part)
            for (const auto& piece : out.pieces) lay_voice(s, piece, voice);
        const auto dressed = dress(std::move(voice), effect_named(effect));
        for (std::size_t i = 0; i < frames; ++i) {
            out.sound.samples[2 * i] += dressed.left[i];
            out.sound.samples[2 * i + 1] += dressed.right[i];
        }
    }
    if (backing)
        for (const auto& piece : out.pieces) lay_backing(*backing, piece, out.sound);
    // What the limiter takes from peaks is given back to the whole, in a few rounds.
    auto now = measure(out.sound);
    for (int round = 0; round < rounds_max && std::abs(loudness_wanted_lufs - now.lufs) > 0.3; ++round) {
        const auto step = std::clamp(loudness_wanted_lufs - now.lufs, -30.0, 30.0);
        out.gain_db += step;
        const auto gain = static_cast<float>(std::pow(10.0, step / 20));
        for (auto& v : out.sound.samples) v *= gain;
        // What is between the samples may be higher: half a decibel is kept for it.
        if (now.peak_db + step > true_peak_max_db - 0.5) limit(out.sound, static_cast<float>(std::pow(10.0, (true_peak_max_db - 0.5) / 20)));
        now = measure(out.sound);
    }
    out.loudness_lufs = now.lufs;
    out.true_peak_db = now.peak_db;
    return out;
}

result<std::int64_t> share(const mixed& of, const std::filesystem::path& stem, std::vector<std::pair<std::string, std::string>> tags) {
    namespace fs = std::filesystem;
    // Q7.8, relative to −23 LUFS (RFC 7845 section 5.2.1).
    tags.emplace_back("R128_TRACK_GAIN", std::to_string(std::lround((-23.0 - of.loudness_lufs) * 256)));
    const auto bytes = ogg_of(encode_packets(of.sound, share_bits), 2, tags);
    std::error_code ignored;
    fs::create_directories(stem.parent_path(), ignored);
    const fs::path opus = stem.string() + ".opus", m4a = stem.string() + ".m4a", half_opus = stem.string() + ".half.opus", half_m4a = stem.string() + ".half.m4a";
    std::ofstream(half_opus, std::ios::binary) << bytes;
    std::vector<std::string> words{"ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-protocol_whitelist", "file", "-i", "file:" + half_opus.string(), "-map_metadata", "0:s:0", "-c:a", "aac", "-b:a", "160k", "-movflags", "+faststart", "file:" + half_m4a.string()};
    std::vector<char*> raw;
    for (auto& w : words) raw.push_back(w.data());
    raw.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    pid_t child = 0;
    const int failed = posix_spawnp(&child, "ffmpeg", &actions, nullptr, raw.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    int status = 1;
    if (failed == 0) ::waitpid(child, &status, 0);
    if (failed != 0 || status != 0) {
        fs::remove(half_opus, ignored);
        fs::remove(half_m4a, ignored);
        return internal_fault("The mix could not be written.");
    }
    const auto size = static_cast<std::int64_t>(fs::file_size(half_opus, ignored) + fs::file_size(half_m4a, ignored));
    std::error_code failed_opus, failed_m4a;
    fs::rename(half_opus, opus, failed_opus);
    fs::rename(half_m4a, m4a, failed_m4a);
    if (failed_opus || failed_m4a) return internal_fault("The mix could not be put in its place.");
    return size;
}

}  // namespace ovation::songs
