#include "bench/recordings.hpp"

#include <opus/opus.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "songs/mix.hpp"
#include "songs/recording.hpp"

namespace ovation::bench {
namespace {
namespace fs = std::filesystem;
using clock_type = std::chrono::steady_clock;
constexpr int kills = 12;
constexpr int seeks = 500;
constexpr std::size_t seek_packets = 12'000;  // 240 s

double cpu_s() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}
std::string read(const fs::path& p) {
    std::ifstream in(p, std::ios::binary);
    std::string out(static_cast<std::size_t>(fs::file_size(p)), '\0');
    in.read(out.data(), static_cast<std::streamsize>(out.size()));
    return out;
}

// A process records a singer in real time, 60 ms a message, and is killed; what it had been given against what is on the disk.
double loss_of_kills(const std::vector<std::string>& voice, const fs::path& folder) {
    auto* given = static_cast<std::atomic<std::int64_t>*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    std::mt19937 random(7);
    double most = 0;
    for (int k = 0; k < kills; ++k) {
        const auto file = folder / ("kill-" + std::to_string(k) + ".opus");
        *given = 0;
        const auto child = ::fork();
        if (child == 0) {
            songs::recording_writer w(file, {});
            const auto start = clock_type::now();
            for (std::size_t i = 0; i + 3 <= voice.size(); i += 3) {
                std::this_thread::sleep_until(start + std::chrono::milliseconds(20 * (i + 3)));
                given->store(static_cast<std::int64_t>(i) + 3);
                (void)w.add(static_cast<std::int64_t>(i) * 960, static_cast<std::int64_t>(i) * 960, {voice.begin() + static_cast<std::ptrdiff_t>(i), voice.begin() + static_cast<std::ptrdiff_t>(i) + 3});
            }
            ::_exit(0);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1'500 + static_cast<int>(random() % 1'500)));
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        std::int64_t kept = 0;
        for (const auto& s : songs::read_recording(read(file))) kept += static_cast<std::int64_t>(s.packets.size());
        most = std::max(most, static_cast<double>(given->load() - kept) * 20);
    }
    ::munmap(given, 4096);
    return most;
}

std::vector<double> seek_times(const std::vector<std::string>& voice, const fs::path& folder) {
    const auto file = folder / "seek.opus";
    {
        songs::recording_writer w(file, {});
        for (std::size_t i = 0; i < seek_packets; i += 3) {
            std::vector<std::string> three;
            for (std::size_t k = i; k < i + 3; ++k) three.push_back(voice[k % voice.size()]);
            if (!w.add(static_cast<std::int64_t>(i) * 960, static_cast<std::int64_t>(i) * 960, three)) return {};
        }
    }
    std::mt19937_64 random(11);
    std::vector<double> out;
    for (int i = 0; i < seeks; ++i) {
        const auto wanted = static_cast<std::int64_t>(random() % (seek_packets * 960));
        const auto start = clock_type::now();
        const auto bytes = read(file);
        const auto at = songs::find_page(bytes, wanted);
        // The page's packets, from its lacing values, decoded up to the one that holds the sample.
        int failed = 0;
        const std::unique_ptr<OpusDecoder, void (*)(OpusDecoder*)> decoder(opus_decoder_create(48'000, 1, &failed), &opus_decoder_destroy);
        std::array<float, 960> frame{};
        const auto segments = static_cast<std::size_t>(static_cast<unsigned char>(bytes[at.byte + 26]));
        std::size_t body = at.byte + 27 + segments;
        std::size_t size = 0;
        auto sample = at.sample;
        for (std::size_t s = 0; s < segments && sample <= wanted; ++s) {
            const auto lace = static_cast<std::size_t>(static_cast<unsigned char>(bytes[at.byte + 27 + s]));
            size += lace;
            if (lace == 255) continue;
            (void)opus_decode_float(decoder.get(), reinterpret_cast<const unsigned char*>(bytes.data() + body), static_cast<opus_int32>(size), frame.data(), 960, 0);
            body += size;
            size = 0;
            sample += 960;
        }
        out.push_back(std::chrono::duration<double, std::milli>(clock_type::now() - start).count());
    }
    return out;
}
}  // namespace

recording_figures measure_recordings(const std::vector<std::string>& voice, const std::shared_ptr<const songs::rendition>& backing) {
    const auto folder = fs::temp_directory_path() / ("ovation-bench-recordings-" + std::to_string(::getpid()));
    fs::create_directories(folder);
    recording_figures out;
    out.kills = kills;
    const auto start = cpu_s();
    const auto made = songs::mix({{{0, -312, voice}}}, backing, "ktv");
    if (made) {
        if (songs::encode_packets(made->sound, 128'000).empty()) return out;
        out.mix_cpu_ms_per_s = (cpu_s() - start) * 1'000 / (static_cast<double>(made->sound.frames()) / 48'000);
    }
    out.loss_ms_max = loss_of_kills(voice, folder);
    out.seek_ms = seek_times(voice, folder);
    fs::remove_all(folder);
    return out;
}

}  // namespace ovation::bench
