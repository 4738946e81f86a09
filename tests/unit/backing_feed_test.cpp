#include "tests/support/catch.hpp"

#include "rooms/backing_feed.hpp"
#include "songs/ogg_opus.hpp"

using namespace ovation;
using rooms::backing_feed;

namespace {
songs::backing numbered(int packets) {
    songs::backing out;
    for (const bool low : {false, true}) {
        songs::rendition r{songs::rendition_id(0, low), 1, {}};
        for (int i = 0; i < packets; ++i) r.packets.push_back((low ? "l" : "h") + std::to_string(i));
        (low ? out.low : out.high) = std::make_shared<const songs::rendition>(std::move(r));
    }
    return out;
}
v1::Media at(std::int64_t position, int packets = 3) {
    v1::Media m;
    m.set_song_position(position);
    for (int i = 0; i < packets; ++i) m.add_voice("v");
    return m;
}
std::uint32_t end_of(const v1::Media& m) { return m.backing_first() + static_cast<std::uint32_t>(m.backing_size()); }
}  // namespace

TEST_CASE("backing: each packet is sent once and in order, up to those that begin before the message's end") {
    backing_feed feed;
    feed.set(numbered(1'000));
    std::int64_t next = 0;
    for (int k = 0; k < 100; ++k) {
        auto m = at(-312 + k * 2'880);
        feed.attach(m);
        REQUIRE(m.backing_first() == next);
        for (const auto& p : m.backing()) CHECK(p == "h" + std::to_string(next++));
        // Packet i begins at 960·i − 312.
        CHECK(next * 960 - 312 >= m.song_position() + 2'880);
        CHECK((next - 1) * 960 - 312 < m.song_position() + 2'880);
        CHECK(m.rendition() == 13);
    }
}
TEST_CASE("backing: a jump starts at an access point at least one packet before the covering one; drift within 20 ms does not") {
    backing_feed feed;
    feed.set(numbered(1'000));
    auto m = at(0);
    feed.attach(m);
    auto drifted = at(2'880 + 900);
    feed.attach(drifted);
    CHECK(drifted.backing_first() == end_of(m));
    for (const std::int64_t position : {48'000, 100'001, 480'000 - 312, 7'000, 960 * 5 - 312, 960 * 6 - 312}) {
        feed.set(numbered(1'000));
        auto j = at(position);
        feed.attach(j);
        const auto covering = (position + 312) / 960;
        CHECK(j.backing_first() % songs::access_point_every == 0);
        CHECK(j.backing_first() <= covering - 1);
        CHECK(j.backing_first() > covering - 1 - songs::access_point_every);
    }
}
TEST_CASE("backing: before the song, after its end, and while talking") {
    backing_feed feed;
    feed.set(numbered(10));
    auto before = at(-48'000);
    feed.attach(before);
    CHECK(before.backing_size() == 0);
    auto after = at(960 * 20);
    feed.attach(after);
    CHECK(after.backing_size() == 0);
    v1::Media talk;
    talk.add_voice("v");
    feed.attach(talk);
    CHECK(talk.backing_size() == 0);
    CHECK(talk.rendition() == 0);
}
TEST_CASE("backing: the other rendition has the same packets; a rebuilt message starts a decoder") {
    backing_feed feed;
    feed.set(numbered(1'000));
    for (int k = 0; k < 20; ++k) {
        auto m = at(k * 2'880);
        feed.attach(m);
        const auto low = feed.in_low(m);
        REQUIRE(low.backing_size() == m.backing_size());
        CHECK(low.rendition() == 14);
        for (int i = 0; i < m.backing_size(); ++i) CHECK(low.backing(i).substr(1) == m.backing(i).substr(1));
        const auto whole = feed.rebuilt(m, false);
        CHECK(whole.backing_first() % 5 == 0);
        CHECK(end_of(whole) == end_of(m));
        CHECK(whole.voice_size() == m.voice_size());
    }
}
