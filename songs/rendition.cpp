#include "songs/rendition.hpp"

#include <SoundTouch.h>
#include <fcntl.h>
#include <opus/opus.h>
#include <spawn.h>
#include <spdlog/fmt/fmt.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "songs/ogg_opus.hpp"
#include "songs/sample_rate.hpp"

extern char** environ;

namespace ovation::songs {
namespace {
constexpr std::size_t seconds_max = 900;
constexpr int celt_configs_from = 16;  // RFC 6716 section 3.1

std::unique_ptr<OpusEncoder, void (*)(OpusEncoder*)> make_encoder(int channels, int bits_per_second) {
    int failed = 0;
    std::unique_ptr<OpusEncoder, void (*)(OpusEncoder*)> out(opus_encoder_create(sample_rate, channels, OPUS_APPLICATION_AUDIO, &failed), &opus_encoder_destroy);
    if (failed != OPUS_OK) throw std::runtime_error("libopus cannot start");
    opus_encoder_ctl(out.get(), OPUS_SET_BITRATE(bits_per_second));
    opus_encoder_ctl(out.get(), OPUS_SET_SIGNAL(OPUS_SIGNAL_MUSIC));
    opus_encoder_ctl(out.get(), OPUS_SET_COMPLEXITY(7));
    opus_encoder_ctl(out.get(), OPUS_SET_BANDWIDTH(OPUS_BANDWIDTH_FULLBAND));  // keeps CELT at every rate that we use
    return out;
}
}  // namespace

std::string rendition_file(const std::string& content_hash, int id) { return fmt::format("{}-{}.opus", content_hash, id); }
std::string guide_file(const std::string& content_hash, int key) { return content_hash + "-guide" + (key == 0 ? "" : "-" + std::to_string(key - key_min)) + ".opus"; }

result<pcm> decode_audio(const std::filesystem::path& file) {
    std::array<int, 2> pipe_ends{};
    if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return internal_fault("no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    std::vector<std::string> words{"ffmpeg", "-nostdin", "-loglevel", "error", "-protocol_whitelist", "file", "-i", "file:" + file.string(), "-map", "0:a:0", "-t", std::to_string(seconds_max), "-ac", "2", "-ar", std::to_string(sample_rate), "-f", "f32le", "pipe:1"};
    std::vector<char*> raw;
    for (auto& w : words) raw.push_back(w.data());
    raw.push_back(nullptr);
    pid_t child = 0;
    const int failed = posix_spawnp(&child, "ffmpeg", &actions, nullptr, raw.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(pipe_ends[1]);
    if (failed != 0) {
        ::close(pipe_ends[0]);
        return precondition("no_ffmpeg", "ffmpeg is needed to read audio; install the package ffmpeg.");
    }
    pcm out{2, {}};
    std::string bytes(1 << 20, '\0');
    std::size_t held = 0;
    while (true) {
        const auto got = ::read(pipe_ends[0], bytes.data() + held, bytes.size() - held);
        if (got <= 0) break;
        const auto whole = (held + static_cast<std::size_t>(got)) / sizeof(float);
        const auto at = out.samples.size();
        out.samples.resize(at + whole);
        std::memcpy(out.samples.data() + at, bytes.data(), whole * sizeof(float));
        const auto left = held + static_cast<std::size_t>(got) - whole * sizeof(float);
        std::memmove(bytes.data(), bytes.data() + whole * sizeof(float), left);
        held = left;
    }
    ::close(pipe_ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    out.samples.resize(out.samples.size() / 2 * 2);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || out.samples.empty()) return invalid(file.filename().string(), "is no audio that ffmpeg can read.");
    // One channel is enough where both say the same.
    bool mono = true;
    for (std::size_t i = 0; mono && i < out.samples.size(); i += 2) mono = out.samples[i] == out.samples[i + 1];
    if (mono) {
        for (std::size_t i = 0; i < out.samples.size() / 2; ++i) out.samples[i] = out.samples[2 * i];
        out.samples.resize(out.samples.size() / 2);
        out.channels = 1;
    }
    return out;
}

pcm shift_key(const pcm& of, int semitones) {
    if (semitones == 0) return of;
    soundtouch::SoundTouch stretch;
    stretch.setSampleRate(sample_rate);
    stretch.setChannels(static_cast<unsigned>(of.channels));
    stretch.setPitchSemiTones(semitones);
    pcm out{of.channels, {}};
    out.samples.reserve(of.samples.size());
    constexpr std::int64_t step = 4'096;
    std::vector<float> chunk(static_cast<std::size_t>(step * of.channels));
    const auto take = [&] {
        for (unsigned got = stretch.receiveSamples(chunk.data(), step); got > 0; got = stretch.receiveSamples(chunk.data(), step))
            out.samples.insert(out.samples.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(got * static_cast<unsigned>(of.channels)));
    };
    for (std::int64_t at = 0; at < of.frames(); at += step) {
        stretch.putSamples(of.samples.data() + at * of.channels, static_cast<unsigned>(std::min(step, of.frames() - at)));
        take();
    }
    stretch.flush();
    take();
    out.samples.resize(of.samples.size(), 0.0f);
    return out;
}

std::vector<std::string> encode_packets(const pcm& of, int bits_per_second) {
    const auto encoder = make_encoder(of.channels, bits_per_second);
    const auto count = (of.frames() + opus_pre_skip + packet_samples - 1) / packet_samples;
    std::vector<float> frame(static_cast<std::size_t>(packet_samples * of.channels));
    std::array<unsigned char, 1500> bytes{};
    std::vector<std::string> out;
    out.reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
        for (std::size_t k = 0; k < frame.size(); ++k) {
            const auto at = static_cast<std::size_t>(i) * frame.size() + k;
            frame[k] = at < of.samples.size() ? of.samples[at] : 0.0f;
        }
        opus_encoder_ctl(encoder.get(), OPUS_SET_PREDICTION_DISABLED(i % access_point_every == 0 ? 1 : 0));
        const auto size = opus_encode_float(encoder.get(), frame.data(), packet_samples, bytes.data(), static_cast<opus_int32>(bytes.size()));
        if (size < 0) throw std::runtime_error("libopus cannot encode");
        if (size > 1 && bytes[0] >> 3 < celt_configs_from) throw std::runtime_error("libopus left CELT");
        out.emplace_back(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
    }
    return out;
}

std::string ogg_of(const std::vector<std::string>& packets, int channels, const std::vector<std::pair<std::string, std::string>>& tags) {
    std::string file;
    ogg_opus_writer writer([&](std::string_view bytes) { file += bytes; }, channels, 1, tags);
    for (std::size_t i = 0; i < packets.size(); ++i) writer.add(packets[i], i + 1 == packets.size());
    return file;
}

std::shared_ptr<const rendition> shelf::known(const std::string& name) {
    const std::scoped_lock lock(mutex_);
    const auto at = loaded_.find(name);
    return at == loaded_.end() ? nullptr : at->second.lock();
}

awaitable<result<std::shared_ptr<const rendition>>> shelf::load(std::string content_hash, int id) {
    const auto name = rendition_file(content_hash, id);
    if (auto here = known(name)) co_return here;
    OVATION_CO_TRY(auto out, co_await workers_.run([path = root_ / name, id]() -> std::shared_ptr<const rendition> {
        std::ifstream in(path, std::ios::binary);
        if (!in) return nullptr;
        std::ostringstream bytes;
        bytes << in.rdbuf();
        auto read = read_ogg_opus(std::move(bytes).str());
        if (!read) return nullptr;
        return std::make_shared<const rendition>(rendition{id, read->channels, std::move(read->packets)});
    }));
    if (!out) co_return not_found("This rendition");
    const std::scoped_lock lock(mutex_);
    std::erase_if(loaded_, [](const auto& entry) { return entry.second.expired(); });
    loaded_[name] = out;
    co_return out;
}

awaitable<result<backing>> shelf::take(std::string content_hash, int key) {
    backing out;
    OVATION_CO_TRY(out.high, co_await load(content_hash, rendition_id(key, false)));
    OVATION_CO_TRY(out.low, co_await load(content_hash, rendition_id(key, true)));
    co_return out;
}

}  // namespace ovation::songs
