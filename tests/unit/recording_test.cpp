#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <sstream>

#include <ebur128.h>

#include "songs/effects.hpp"
#include "songs/mix.hpp"
#include "songs/recording.hpp"
#include "tests/support/catch.hpp"

using namespace ovation;
using namespace ovation::songs;
namespace fs = std::filesystem;

namespace {
struct folder {
    fs::path path = fs::temp_directory_path() / ("ovation-recording-" + std::to_string(::getpid()));
    folder() { fs::create_directories(path); }
    ~folder() { fs::remove_all(path); }
};
std::string read(const fs::path& p) {
    std::ifstream in(p, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return std::move(out).str();
}
// One tone that glides, so that any piece of it says where it is.
double phase(double second, double from) { return 2 * std::numbers::pi * (from * second + 20 * second * second); }
std::vector<std::string> tone(double seconds, double from, float loud) {
    pcm of{1, {}};
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(seconds * 48'000); ++i) of.samples.push_back(loud * static_cast<float>(std::sin(phase(static_cast<double>(i) / 48'000, from))));
    return encode_packets(of, 96'000);
}
std::vector<std::string> part(const std::vector<std::string>& all, std::size_t from, std::size_t count) { return {all.begin() + static_cast<std::ptrdiff_t>(from), all.begin() + static_cast<std::ptrdiff_t>(std::min(from + count, all.size()))}; }
}  // namespace

TEST_CASE("recording: packets come back as they were given, each stretch with its place") {
    folder dir;
    const auto packets = tone(4, 300, 0.3f);
    {
        recording_writer w(dir.path / "a.opus", {{"TITLE", "t"}});
        for (std::size_t i = 0; i < 60; i += 3) REQUIRE(w.add(1'000'000 + static_cast<std::int64_t>(i) * 960, -312 + static_cast<std::int64_t>(i) * 960, part(packets, i, 3)));
        // A pause: media time goes on, the song does not.
        for (std::size_t i = 60; i < 120; i += 3) REQUIRE(w.add(1'500'000 + static_cast<std::int64_t>(i) * 960, -312 + static_cast<std::int64_t>(i) * 960, part(packets, i, 3)));
        REQUIRE(w.close());
    }
    const auto back = read_recording(read(dir.path / "a.opus"));
    REQUIRE(back.size() == 2);
    CHECK(back[0].media_time == 1'000'000);
    CHECK(back[0].position == -312);
    CHECK(back[0].packets == part(packets, 0, 60));
    CHECK(back[1].media_time == 1'500'000 + 60 * 960);
    CHECK(back[1].position == -312 + 60 * 960);
    CHECK(back[1].packets == part(packets, 60, 60));
    CHECK(read_ogg_opus(read(dir.path / "a.opus"))->packets.size() == 60);  // a player reads the chain's first stream
}

TEST_CASE("recording: lost packets leave their time, and the place of what follows stays true") {
    folder dir;
    const auto packets = tone(2, 300, 0.3f);
    {
        recording_writer w(dir.path / "a.opus", {});
        for (std::size_t i = 0; i < 90; i += 3)
            if (i != 30 && i != 33 && i != 60) REQUIRE(w.add(static_cast<std::int64_t>(i) * 960, static_cast<std::int64_t>(i) * 960, part(packets, i, 3)));
    }
    const auto back = read_recording(read(dir.path / "a.opus"));
    REQUIRE(back.size() == 1);
    REQUIRE(back[0].packets.size() == 90);
    for (std::size_t i = 0; i < 90; ++i) {
        const bool lost = (i >= 30 && i < 36) || (i >= 60 && i < 63);
        CAPTURE(i);
        CHECK(back[0].packets[i].size() == (lost ? 1 : packets[i].size()));
        if (!lost) CHECK(back[0].packets[i] == packets[i]);
    }
}

TEST_CASE("recording: a crash at any byte loses less than a second, and the next server goes on behind it") {
    folder dir;
    const auto packets = tone(10, 300, 0.3f);
    std::vector<std::pair<std::size_t, std::uintmax_t>> written;  // packets given, bytes on the disk
    {
        recording_writer w(dir.path / "a.opus", {});
        for (std::size_t i = 0; i + 3 <= packets.size(); i += 3) {
            REQUIRE(w.add(static_cast<std::int64_t>(i) * 960, static_cast<std::int64_t>(i) * 960, part(packets, i, 3)));
            written.emplace_back(i + 3, fs::file_size(dir.path / "a.opus"));
        }
    }
    const auto whole = read(dir.path / "a.opus");
    std::int64_t most = 0;
    for (const auto& [given, bytes] : written) {
        std::size_t kept = 0;
        for (const auto& s : read_recording(std::string_view(whole).substr(0, bytes))) kept += s.packets.size();
        most = std::max(most, static_cast<std::int64_t>(given - kept) * 20);
    }
    CHECK(most <= 1'000);
    // Cut in the middle of a page, then gone on with.
    fs::resize_file(dir.path / "a.opus", whole.size() * 2 / 3);
    {
        recording_writer w(dir.path / "a.opus", {});
        REQUIRE(w.add(900'000, 480'000, part(packets, 0, 60)));
    }
    const auto back = read_recording(read(dir.path / "a.opus"));
    REQUIRE(back.size() == 2);
    CHECK(back[0].packets.size() > packets.size() / 2);
    CHECK(back[1].media_time == 900'000);
    CHECK(back[1].packets == part(packets, 0, 60));
}

TEST_CASE("recording: the page of any sample is found") {
    const auto packets = tone(30, 300, 0.3f);
    const auto file = ogg_of(packets, 1, {});
    const auto whole = read_ogg_opus(file);
    REQUIRE(whole);
    for (std::int64_t sample = 0; sample < static_cast<std::int64_t>(packets.size()) * 960; sample += 7'777) {
        const auto at = find_page(file, sample);
        CAPTURE(sample);
        REQUIRE(file.substr(at.byte, 4) == "OggS");
        CHECK(at.sample <= sample);
        CHECK(sample - at.sample <= 48'000);
    }
}

TEST_CASE("mix: pauses go, a start over begins anew, a resume goes on") {
    const auto stretch = [](std::int64_t media, std::int64_t position, std::size_t packets) { return recorded_stretch{media, position, std::vector<std::string>(packets, std::string(3, 'x'))}; };
    // Begun, started over, paused, gone on with; a second singer from the middle on.
    const auto plan = plan_mix({{stretch(0, 0, 100), stretch(200'000, 0, 200), stretch(500'000, 192'000, 50)}, {stretch(200'000 + 96'000, 96'000, 100)}});
    REQUIRE(plan.size() == 2);
    CHECK(plan[0] == mix_piece{0, 192'000, 200'000, 0});
    CHECK(plan[1] == mix_piece{192'000, 48'000, 500'000, 192'000});
    CHECK(plan_mix({}).empty());
}

TEST_CASE("mix: voice and backing of one position sound together, at -16 LUFS under -1 dBTP, in each dress") {
    folder dir;
    // The backing is silent but for a click each second; so is the voice.
    pcm clicks{1, std::vector<float>(20 * 48'000, 0.0f)};
    for (std::size_t second = 0; second < 20; ++second)
        for (std::size_t i = 0; i < 4'800; ++i) clicks.samples[second * 48'000 + i] = 0.5f * std::exp(-static_cast<float>(i) / 600.0f) * static_cast<float>(std::sin(2 * std::numbers::pi * 800 * static_cast<double>(i) / 48'000));
    const auto packets = encode_packets(clicks, 96'000);
    // Under the backing's clicks a quiet pad, or there is nothing but peaks.
    for (std::size_t i = 0; i < clicks.samples.size(); ++i) clicks.samples[i] += 0.06f * static_cast<float>(std::sin(2 * std::numbers::pi * 220 * static_cast<double>(i) / 48'000));
    const auto backing = std::make_shared<rendition>(rendition{13, 1, encode_packets(clicks, 96'000)});
    // What a page sends: the first decoded sample is named, 312 before.
    const auto voice = [&](std::size_t from, std::size_t count, std::int64_t media) { return recorded_stretch{media, static_cast<std::int64_t>(from) * 960 - 312, part(packets, from, count)}; };
    for (const char* effect : {"off", "ktv", "hall", "studio"}) {
        CAPTURE(effect);
        const auto made = mix({{voice(0, 500, 77), voice(500, 300, 900'000)}}, backing, effect);
        REQUIRE(made);
        CHECK(std::abs(made->loudness_lufs + 16) < 1);
        CHECK(made->true_peak_db <= -1);
        REQUIRE(made->pieces.size() == 2);
        // Each second's click: where it is loudest.
        for (std::int64_t second = 1; second < 15; ++second) {
            const auto& piece = second * 48'000 < made->pieces[1].position ? made->pieces[0] : made->pieces[1];
            const auto expected = piece.at + second * 48'000 - piece.position;
            if (std::abs(expected - made->pieces[1].at) < 6'000) continue;
            std::int64_t at = 0;
            float best = 0;
            for (auto i = expected - 4'000; i < expected + 4'000; ++i)
                if (const auto v = std::abs(made->sound.samples[static_cast<std::size_t>(i) * 2]); v > best) best = v, at = i;
            CAPTURE(second);
            CHECK(std::abs(at - expected) < 240);  // the first half wave
        }
    }
    const auto made = mix({{voice(0, 500, 77)}}, backing, "ktv");
    REQUIRE(made);
    REQUIRE(share(*made, dir.path / "shared" / "t", {{"TITLE", "Clicks"}}));
    const auto opus = decode_audio(dir.path / "shared" / "t.opus"), m4a = decode_audio(dir.path / "shared" / "t.m4a");
    REQUIRE(opus);
    REQUIRE(m4a);
    CHECK(std::abs(opus->frames() - made->sound.frames()) < 2'000);
    CHECK(std::abs(m4a->frames() - made->sound.frames()) < 4'800);
    const auto bytes = read(dir.path / "shared" / "t.opus");
    CHECK(bytes.find("TITLE=Clicks") != std::string::npos);
    CHECK(bytes.find("R128_TRACK_GAIN=" + std::to_string(std::lround((-23 - made->loudness_lufs) * 256))) != std::string::npos);
    CHECK_FALSE(mix({{}}, backing, "off"));
}

TEST_CASE("effects: the pages and the mix have the same figures") {
    const auto script = read(fs::path(SOURCE_DIR) / "web/src/audio/effects.ts");
    for (const char* name : {"off", "ktv", "hall", "studio"}) {
        const auto& f = effect_named(name);
        std::ostringstream line;
        line << name << ": { wet: " << f.wet << ", seconds: " << f.seconds << ", early: " << f.early << ", presence: " << f.presence_db << ", low: " << f.low_hz << ", gate: " << f.gate_db << ", knee: " << f.knee_db << ", ratio: " << f.ratio << " }";
        CAPTURE(line.str());
        CHECK(script.find(line.str()) != std::string::npos);
    }
    CHECK(effect_named("nonsense").wet == 0);
}

TEST_CASE("effects: the gate closes on hiss, the compressor turns down what is loud, nothing delays the voice") {
    std::vector<float> hiss(48'000), loud(48'000);
    for (std::size_t i = 0; i < hiss.size(); ++i) {
        hiss[i] = 0.0008f * static_cast<float>(std::sin(static_cast<double>(i) * 0.7));
        loud[i] = 0.9f * static_cast<float>(std::sin(static_cast<double>(i) * 0.05));
    }
    const auto peak = [](const std::vector<float>& x, std::size_t from) {
        float out = 0;
        for (auto i = from; i < x.size(); ++i) out = std::max(out, std::abs(x[i]));
        return out;
    };
    CHECK(peak(dress(hiss, effect_named("studio")).left, 24'000) < 0.0004f);
    CHECK(peak(dress(hiss, effect_named("off")).left, 24'000) > 0.0007f);
    CHECK(peak(dress(loud, effect_named("studio")).left, 24'000) < 0.75f);
    std::vector<float> click(4'800, 0.0f);
    click[1'000] = 0.9f;
    const auto out = dress(click, effect_named("off")).left;
    std::size_t at = 0;
    for (std::size_t i = 0; i < out.size(); ++i)
        if (std::abs(out[i]) > std::abs(out[at])) at = i;
    CHECK(at == 1'000);
}
