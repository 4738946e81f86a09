#include "tests/support/catch.hpp"
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "songs/ogg_opus.hpp"
#include "songs/render.hpp"
#include "songs/rendition.hpp"
#include "songs/ultrastar.hpp"

using namespace ovation::songs;

namespace {
const std::string head = "#VERSION:1.0.0\n#TITLE:T\n#ARTIST:A\n#BPM:300\n#GAP:7250\n";
std::string file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
}
}  // namespace

TEST_CASE("ultrastar: time follows from GAP and BPM") {
    const auto s = read_ultrastar(head + ": 40 4 0 la\nE\n");
    REQUIRE(s);
    CHECK(s->sample_of(40) == 9'250 * samples_per_ms);
}
TEST_CASE("ultrastar: exactly one blank belongs to the syntax, CR and CRLF end lines too") {
    const auto s = read_ultrastar("#VERSION:1.0.0\r\n#TITLE:T\r#ARTIST:A\n#BPM:120,5\r\n: 0 4 0  la\r\n: 4 2 -3 ~ \r\n- 8\r\n* 8 4 12 di\r\nE\r\nrubbish");
    REQUIRE(s);
    CHECK(s->bpm() == 120.5);
    REQUIRE(s->lines.size() == 2);
    CHECK(s->lines[0].notes[0].text == " la");
    CHECK(s->lines[0].notes[1].text == "~ ");
    CHECK(s->lines[1].notes[0].kind == '*');
}
TEST_CASE("ultrastar: what cannot be sung is refused with its line") {
    CHECK(read_ultrastar(head + ": 0 2049 0 la\n").error().field == "line 6");
    CHECK(read_ultrastar(head + ": 262145 1 0 la\n").error().field == "line 6");
    CHECK(read_ultrastar(head + ": 0 1 100 la\n").error().field == "line 6");
    CHECK(read_ultrastar("#TITLE:T\n#ARTIST:A\n: 0 1 0 la\n").error().field == "#BPM");
    CHECK(read_ultrastar("#VERSION:2.0.0\n#TITLE:T\n#ARTIST:A\n#BPM:100\n: 0 1 0 la\n").error().field == "#VERSION");
    CHECK(read_ultrastar("#VERSION:3.0.0\n#TITLE:T\n#ARTIST:A\n#BPM:100\n: 0 1 0 la\n").error().field == "#VERSION");
    CHECK(read_ultrastar(head + "#AUDIO:../../etc/passwd\n: 0 1 0 la\n").error().field == "#AUDIO");
    CHECK(read_ultrastar(head + "#RELATIVE:YES\n: 0 1 0 la\n").error().field == "#RELATIVE");
    CHECK(read_ultrastar(head + "E\n").error().field == "file");
}
TEST_CASE("ultrastar: the hash follows tempo, gap and notes, not the words") {
    const auto a = read_ultrastar(head + ": 0 4 0 la\n");
    const auto b = read_ultrastar(head + ": 0 4 0 lo\n");
    const auto c = read_ultrastar(head + ": 0 4 1 la\n");
    CHECK(a->content_hash() == b->content_hash());
    CHECK(a->content_hash() != c->content_hash());
}
TEST_CASE("the demo songs: well-formed, in the public domain, with a backing track that is theirs") {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(SOURCE_DIR "/songs/demo")) {
        const auto s = read_ultrastar(file(entry.path()));
        REQUIRE(s);
        CHECK(s->public_domain());
        CHECK(s->lyrics().size() >= 6);
        ++count;
    }
    CHECK(count >= 3);
    const auto s = read_ultrastar(file(SOURCE_DIR "/songs/demo/jasmine_flower.txt"));
    const auto samples = render(*s, part::accompaniment);
    float peak = 0;
    for (const float v : samples) peak = std::max(peak, std::abs(v));
    CHECK(peak > 0.3f);
    CHECK(peak <= 0.81f);
    const auto packets = read_ogg_opus(ogg_of(encode_packets({1, samples}, 96'000), 1, {}));
    REQUIRE(packets);
    CHECK(packets->pre_skip == opus_pre_skip);
    CHECK(packets->packets.size() * packet_samples >= samples.size() + opus_pre_skip);
    CHECK(packets->packets.size() * packet_samples < samples.size() + opus_pre_skip + packet_samples);
}
TEST_CASE("ogg: what is not Ogg Opus is refused") {
    CHECK_FALSE(read_ogg_opus(""));
    CHECK_FALSE(read_ogg_opus("OggS but not really"));
    CHECK_FALSE(read_ogg_opus(std::string(100'000, 'x')));
}

TEST_CASE("rendition: another key keeps the length and the places, and is as far off as it says") {
    constexpr int rate = 48'000;
    for (const int channels : {1, 2}) {
        pcm song{channels, std::vector<float>(static_cast<std::size_t>(6 * rate * channels), 0.0F)};
        // Half a second of A4 at each whole second.
        for (int s = 1; s < 6; ++s)
            for (int i = 0; i < rate / 2; ++i)
                for (int c = 0; c < channels; ++c)
                    song.samples[static_cast<std::size_t>((s * rate + i) * channels + c)] = static_cast<float>(0.5 * std::min({1.0, i / 240.0, (rate / 2 - i) / 240.0}) * std::sin(2 * 3.14159265358979 * 440 * i / rate));
        for (const int key : {-6, -1, 1, 6}) {
            INFO(channels << " channels, " << key << " semitones");
            const auto out = shift_key(song, key);
            REQUIRE(out.channels == channels);
            REQUIRE(out.frames() == song.frames());
            const auto at = [&](std::int64_t frame) { return static_cast<double>(out.samples[static_cast<std::size_t>(frame * channels)]); };
            for (int s = 1; s < 6; ++s) {
                std::int64_t onset = -1;
                for (std::int64_t i = s * rate - rate / 4; i < s * rate + rate / 4 && onset < 0; ++i)
                    if (std::abs(at(i)) > 0.15) onset = i;
                REQUIRE(onset >= 0);
                CHECK(std::abs(onset - static_cast<std::int64_t>(s) * rate) <= rate / 40);
                // Zero crossings upwards in the middle of the tone, between the first and the last of them.
                std::int64_t first = -1, last = -1, count = 0;
                for (std::int64_t i = s * rate + rate / 8; i < s * rate + 3 * rate / 8; ++i)
                    if (at(i) < 0 && at(i + 1) >= 0) {
                        if (first < 0) first = i;
                        else ++count;
                        last = i;
                    }
                REQUIRE(count > 10);
                const double hz = static_cast<double>(count) * rate / static_cast<double>(last - first);
                CHECK(std::abs(1200 * std::log2(hz / 440) - 100 * key) <= 20);
            }
        }
    }
}
