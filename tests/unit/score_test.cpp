#include "tests/support/catch.hpp"

#include <cmath>
#include <random>

#include "songs/rendition.hpp"
#include "songs/render.hpp"
#include "songs/scorer.hpp"

using namespace ovation::songs;

namespace {
struct part_of_song {
    char kind;
    std::int64_t length;
};
// Lines of (kind, length), one beat apart, at C4.
ultrastar_song song_of(const std::vector<std::vector<part_of_song>>& lines, double bpm = 300) {
    ultrastar_song s;
    s.tempi = {{0, bpm}};
    std::int64_t at = 0;
    for (const auto& l : lines) {
        auto& line = s.lines.emplace_back();
        for (const auto& [kind, length] : l) {
            line.notes.push_back({kind, at, length, 0, "la"});
            at += length + 1;
        }
    }
    return s;
}
ultrastar_song melody(int notes, double bpm = 300) {
    ultrastar_song s;
    s.tempi = {{0, bpm}};
    s.gap_ms = 500;
    constexpr int steps[] = {0, 2, 4, 5, 7, 5, 4, 2, 9, 7};
    for (int i = 0; i < notes; ++i) {
        if (i % 8 == 0) s.lines.emplace_back();
        s.lines.back().notes.push_back({i % 8 == 7 ? '*' : ':', i * 12, 10, steps[i % 10], "la"});
    }
    return s;
}
pitch_track sung(const ultrastar_song& song, const voice_options& how, std::int64_t late_ms = 0, int bits = 48'000, int drop_percent = 0) {
    const auto lines = song.lyrics();
    const pcm voice{1, render_voice(lines, lines.back().end() + 48'000, how)};
    const auto packets = encode_packets(voice, bits);
    voice_reader reader;
    std::mt19937 dice(7);
    for (std::size_t i = 0; i < packets.size(); i += 3) {
        std::vector<std::string> message(packets.begin() + static_cast<std::ptrdiff_t>(i), packets.begin() + static_cast<std::ptrdiff_t>(std::min(i + 3, packets.size())));
        if (static_cast<int>(dice() % 100) >= drop_percent) reader.feed(static_cast<std::int64_t>(i) * 960 - 312 + late_ms * samples_per_ms, message);
    }
    return reader.track();
}
}  // namespace

TEST_CASE("score: the vectors of the rules, exactly") {
    struct row {
        std::vector<std::vector<part_of_song>> song;
        std::vector<std::vector<std::int64_t>> hits;
        int total, normal, golden;
        double line;
    };
    const std::vector<std::vector<part_of_song>> a{{{':', 4}, {'*', 2}}}, b{{{':', 8}, {':', 8}}, {{'F', 10}}, {{'R', 4}, {'G', 2}, {'*', 3}}};
    const std::vector<row> table{{a, {{4, 2}}, 10'000, 4'500, 4'500, 1'000},
                                 {a, {{3, 2}}, 8'750, 3'375, 4'500, 875.194},
                                 {b, {{8, 8}, {10}, {4, 2, 3}}, 10'000, 6'000, 3'000, 1'000},
                                 {b, {{8, 4}, {0}, {4, 0, 3}}, 7'332, 4'800, 1'800, 732.469},
                                 {b, {{0, 0}, {10}, {4, 2, 0}}, 2'686, 1'200, 1'200, 285.850}};
    for (const auto& r : table) {
        const auto t = count_points(song_of(r.song), 1, r.hits);
        CHECK(t.points == r.total);
        CHECK(t.normal == r.normal);
        CHECK(t.golden == r.golden);
        CHECK(std::abs(t.exact_line - r.line) < 0.0006);
        CHECK(t.normal + t.golden + t.line == t.points);
    }
}
TEST_CASE("pitch: steady tones from 70 to 1000 Hz within ten cents, noise and silence have none") {
    std::vector<float> window(pitch_window);
    for (double hz = 70; hz < 1'000; hz *= 1.031) {
        for (std::size_t i = 0; i < window.size(); ++i) {
            window[i] = 0;
            for (int k = 1; k <= 6 && k * hz < 7'000; ++k) window[i] += static_cast<float>(0.2 / k * std::sin(2 * M_PI * hz * k * static_cast<double>(i) / pitch_rate + k));
        }
        const auto found = find_pitch(window);
        REQUIRE(found);
        const double written = 12 * std::log2(hz / 261.6255653);
        INFO("hz " << hz);
        CHECK(std::abs(static_cast<double>(found->semitones) - written) < 0.1);
    }
    std::fill(window.begin(), window.end(), 0.0f);
    CHECK_FALSE(find_pitch(window));
    std::mt19937 dice(3);
    int voiced = 0;
    for (int i = 0; i < 200; ++i) {
        for (auto& v : window) v = std::uniform_real_distribution<float>(-0.3f, 0.3f)(dice);
        voiced += find_pitch(window) ? 1 : 0;
    }
    CHECK(voiced <= 10);
}
TEST_CASE("score: a perfect singer has nearly all, a random one little, silence nothing") {
    const auto song = melody(64);
    for (const auto rules : {score_rules::ovation_1, score_rules::usdx_1}) {
        const judge_options how{rules, score_level::medium, 1, 0};
        CHECK(judge(song, sung(song, {}), how).points >= 9'900);
        CHECK(judge(song, pitch_track(), how).points == 0);
        const auto wide = melody(200);  // chance alone gives a quarter at ±1 semitone
        auto random = wide;
        std::mt19937 dice(11);
        for (auto& l : random.lines)
            for (auto& n : l.notes) n.pitch = static_cast<int>(dice() % 24) - 12;
        CHECK(judge(wide, sung(random, {}), how).points <= 3'000);
    }
    CHECK(judge(song, sung(song, {.octaves = -1}), {}).points >= 9'900);  // an octave is no mistake
    CHECK(judge(song, sung(song, {.cents = 70}), {score_rules::ovation_1, score_level::hard, 1, 0}).points < 1'000);
    CHECK(judge(song, sung(song, {.cents = 70}), {score_rules::ovation_1, score_level::medium, 1, 0}).points >= 9'500);
}
TEST_CASE("score: lateness of the device, lost messages and bit rates change little") {
    const auto song = melody(120);
    const auto clean = judge(song, sung(song, {.vibrato_cents = 30}), {}).points;
    for (const int late : {-60, 80, 240, 500}) {
        const auto track = sung(song, {.vibrato_cents = 30}, late);
        const auto found = find_offset(song, 1, track);
        REQUIRE(found);
        INFO("late " << late << " found " << *found);
        CHECK(std::llabs(*found - late) <= 30);
        CHECK(std::abs(judge(song, track, {score_rules::ovation_1, score_level::medium, 1, *found}).points - clean) <= 200);
    }
    for (const int bits : {16'000, 24'000, 64'000}) CHECK(std::abs(judge(song, sung(song, {.vibrato_cents = 30}, 0, bits), {}).points - clean) <= 200);
    const auto lossy = judge(song, sung(song, {.vibrato_cents = 30}, 0, 48'000, 3), {}).points;
    INFO("clean " << clean << " with 3 % lost " << lossy);
    CHECK(std::abs(lossy - clean) <= 200);
}
TEST_CASE("score: the stored track scores the same") {
    const auto song = melody(32);
    const auto track = sung(song, {.cents = 40, .vibrato_cents = 60});
    const auto again = pitch_track::from_bytes(track.bytes());
    REQUIRE(again);
    CHECK(*again == track);
    CHECK(judge(song, *again, {}).points == judge(song, track, {}).points);
    CHECK_FALSE(pitch_track::from_bytes("short"));
}
TEST_CASE("score: lines are told once, after they end; what is fed in from the backing is seen") {
    const auto song = std::make_shared<const ultrastar_song>(melody(96));
    const auto lines = song->lyrics();
    const auto samples = lines.back().end() + 48'000;
    const auto accompaniment = render(*song, part::accompaniment);
    pcm backing{1, accompaniment};
    backing.samples.resize(static_cast<std::size_t>(samples), 0.0f);
    const auto held = std::make_shared<const rendition>(rendition{13, 1, encode_packets(backing, 96'000)});
    const auto sing = [&](const std::vector<float>& voice) {
        scorer s(song, {}, held);
        const auto packets = encode_packets({1, voice}, 48'000);
        std::vector<std::size_t> told;
        for (std::size_t i = 0; i < packets.size(); i += 3) {
            const auto position = static_cast<std::int64_t>(i) * 960 - 312;
            for (const auto& v : s.feed(position, {packets.begin() + static_cast<std::ptrdiff_t>(i), packets.begin() + static_cast<std::ptrdiff_t>(std::min(i + 3, packets.size()))})) {
                CHECK(position + 3 * 960 >= v.line.end);
                CHECK(position - v.line.end <= 300 * samples_per_ms);
                told.push_back(v.line.line);
            }
        }
        CHECK(told.size() == song->lines.size());
        CHECK(std::is_sorted(told.begin(), told.end()));
        return s.look_back();
    };
    auto voice = render_voice(lines, samples);
    const auto clean = sing(voice);
    CHECK_FALSE(clean.backing);
    CHECK_FALSE(clean.silent);
    auto fed = backing.samples;
    fed.insert(fed.begin(), 48 * 120, 0.0f);  // the loudspeaker is 120 ms late
    fed.resize(static_cast<std::size_t>(samples));
    const auto cheat = sing(fed);
    INFO("match " << cheat.backing_match << " probes " << cheat.probes << ", clean " << clean.backing_match);
    CHECK(cheat.backing);
    CHECK(sing(std::vector<float>(static_cast<std::size_t>(samples), 0.0f)).silent);
}
