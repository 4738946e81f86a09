#include <algorithm>
#include <map>
#include <random>

#include "rooms/timeline.hpp"
#include "tests/support/catch.hpp"

using namespace ovation;
using rooms::timeline;

namespace {
constexpr std::int64_t ms = 48;
v1::Media message(std::int64_t media_time, std::optional<std::int64_t> position, int packets = 3) {
    v1::Media m;
    m.set_media_time(media_time);
    if (position) {
        m.set_song_position(*position);
        m.set_performance_id(7);
    }
    for (int i = 0; i < packets; ++i) m.add_voice("v");
    return m;
}
struct sent {
    v1::Media message;
    std::int64_t at_ms;
};
// Two singers who send each 60 ms from `start_ms` on, each with a clock and a delay of its own.
struct singer {
    std::size_t seat;
    std::int64_t clock;      // media time at the song's begin
    std::int64_t late_ms;    // mean way to the server
    std::int64_t jitter_ms;  // either side, in order (one TCP connection)
    std::int64_t from_ms = 0, to_ms = 20'000;
};
std::vector<sent> sing(timeline& t, const std::vector<singer>& who, std::uint32_t seed) {
    std::mt19937 random(seed);
    struct arrival {
        std::int64_t at_ms;
        std::size_t seat;
        v1::Media m;
    };
    std::vector<arrival> all;
    for (const auto& s : who) {
        std::int64_t last = 0;
        for (std::int64_t k = 0; k * 60 < s.to_ms; ++k) {
            if (k * 60 < s.from_ms) continue;
            const auto wobble = std::uniform_int_distribution<std::int64_t>(-s.jitter_ms, s.jitter_ms)(random);
            last = std::max(last, 1'000 + (k + 1) * 60 + s.late_ms + wobble);
            all.push_back({last, s.seat, message(s.clock + k * 2'880, k * 2'880)});
        }
    }
    std::ranges::sort(all, [](const arrival& a, const arrival& b) { return std::pair(a.at_ms, a.m.song_position()) < std::pair(b.at_ms, b.m.song_position()); });
    std::vector<sent> out;
    const auto take = [&](std::vector<v1::Media> messages, std::int64_t now) {
        for (auto& m : messages) out.push_back({std::move(m), now});
    };
    for (auto& a : all) {
        while (const auto due = t.next_due_ms()) {
            if (*due > a.at_ms) break;
            take(t.due(true, *due), *due);
        }
        a.m.set_publisher_id(static_cast<std::int64_t>(a.seat) + 1);
        if (t.place(a.m, a.seat, a.at_ms)) take(t.pass(a.m, a.seat, true, a.at_ms), a.at_ms);
    }
    while (const auto due = t.next_due_ms()) take(t.due(true, *due), *due);
    return out;
}
}  // namespace

TEST_CASE("timeline: the first publisher's own clock is the room's; the next page of the same singer goes on behind it") {
    timeline t;
    auto a = message(5'000'000, std::nullopt);
    REQUIRE(t.place(a, 0, 1'000));
    CHECK(a.media_time() == 5'000'000);
    CHECK(a.flags() == 0);
    auto b = message(5'002'880, 0);
    REQUIRE(t.place(b, 0, 1'060));
    CHECK(b.media_time() == 5'002'880);
    CHECK(b.flags() == (rooms::media_playing | rooms::media_discontinuity));
    t.new_publisher(0);
    auto c = message(77, 96'000);
    REQUIRE(t.place(c, 0, 3'060));  // two seconds later
    CHECK(c.media_time() == 5'002'880 + 2'880 + 2'000 * ms);
    auto d = message(77 + 2'880, 96'000 + 2'880);
    REQUIRE(t.place(d, 0, 3'150));
    CHECK(d.media_time() == c.media_time() + 2'880);
    CHECK(d.flags() == rooms::media_playing);
}

TEST_CASE("timeline: two voices are laid at the same song position, whatever their clocks and ways") {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        timeline t;
        t.expect_both(3'500);
        const auto out = sing(t, {{0, 123'456, 40, 30}, {1, 987'654'321, 150, 60}}, seed);
        std::map<std::int64_t, std::int64_t> offsets, messages;
        std::map<std::int64_t, std::int64_t> sent_at;  // by position
        std::int64_t apart = 0;
        for (const auto& s : out) {
            const auto& m = s.message;
            offsets[m.media_time() - m.song_position()] += 1;
            messages[m.publisher_id()] += 1;
            if (auto [it, first] = sent_at.try_emplace(m.song_position(), s.at_ms); !first) apart = std::max(apart, s.at_ms - it->second);
        }
        CHECK(offsets.size() == 1);            // one clock: in step to the sample
        CHECK(messages[1] == 334);             // nothing of either is lost: the way differs by less than the hold
        CHECK(messages[2] == 334);
        CHECK(apart <= 5);                     // and both leave together
        CHECK(std::ranges::is_sorted(out, {}, [](const sent& s) { return s.message.song_position(); }));
    }
}

TEST_CASE("timeline: whose voice comes more than 250 ms later has a gap, and holds nobody for longer") {
    timeline t;
    t.expect_both(2'000);
    const auto out = sing(t, {{0, 0, 20, 0}, {1, 0, 400, 0}}, 1);
    std::int64_t first = 0, second = 0, held = 0;
    for (const auto& s : out) {
        (s.message.publisher_id() == 1 ? first : second) += 1;
        if (s.message.publisher_id() == 1) held = std::max(held, s.at_ms - (1'000 + s.message.song_position() / ms + 60 + 20));
    }
    CHECK(first == 334);
    CHECK(held == limits::duet_hold_ms);
    CHECK(second < 10);
}

TEST_CASE("timeline: a second singer who is far ahead does not silence the one who leads") {
    timeline t;
    t.expect_both(2'000);
    const auto out = sing(t, {{0, 0, 500, 40}, {1, 0, 10, 0}}, 3);
    CHECK(std::ranges::count_if(out, [](const sent& s) { return s.message.publisher_id() == 1; }) == 334);
}

TEST_CASE("timeline: one falls silent, the other sings on without waiting, on the same clock") {
    for (const std::size_t leaves : {0U, 1U}) {
        CAPTURE(leaves);
        timeline t;
        t.expect_both(3'500);
        std::vector<singer> who{{0, 1'000'000, 40, 30}, {1, 2'000'000, 100, 30}};
        who[leaves].to_ms = 8'000;
        const auto out = sing(t, who, 5);
        std::map<std::int64_t, int> offsets;
        std::int64_t latest = 0, count = 0;
        for (const auto& s : out) {
            offsets[s.message.media_time() - s.message.song_position()] += 1;
            if (s.message.song_position() < 10'000 * ms) continue;
            count += 1;
            latest = std::max(latest, s.at_ms - (1'000 + s.message.song_position() / ms + 60));
        }
        CHECK(offsets.size() == 1);
        CHECK(count == 334 - 167);
        CHECK(latest <= 131);  // its own way, no hold
    }
}

TEST_CASE("timeline: a label from elsewhere in the song is not laid over the one who leads") {
    timeline t;
    auto a = message(0, 100'000 * ms);
    REQUIRE(t.place(a, 0, 1'000));
    auto stale = message(0, 20'000 * ms);
    CHECK_FALSE(t.place(stale, 1, 1'010));
    auto talk = message(2'880, std::nullopt);
    REQUIRE(t.place(talk, 1, 1'070));
    CHECK(talk.flags() == rooms::media_accompanies);
    auto b = message(2'880, 100'060 * ms);
    REQUIRE(t.place(b, 0, 1'070));
    CHECK(b.flags() == rooms::media_playing);
    auto lead = message(5'760, std::nullopt);  // the song stops with who leads it
    REQUIRE(t.place(lead, 0, 1'130));
    auto now_leads = message(9'000, 20'000 * ms);
    REQUIRE(t.place(now_leads, 1, 1'140));
    CHECK((now_leads.flags() & rooms::media_accompanies) == 0);
}

TEST_CASE("timeline: a second singer who keeps coming too late, or too early, is told by how much") {
    const auto told = [](std::int64_t lead_late, std::int64_t late, std::int64_t jitter) {
        timeline t;
        std::vector<std::int64_t> out;
        for (std::int64_t now = 0, k[2] = {0, 0}; now < 10'000; now += 5)
            for (const std::size_t seat : {0U, 1U}) {
                const auto due = (k[seat] + 1) * 60 + (seat == 0 ? lead_late : late + (k[seat] % 2 == 0 ? jitter : -jitter));
                if (due > now) continue;
                auto m = message(k[seat] * 2'880, k[seat] * 2'880);
                ++k[seat];
                if (t.place(m, seat, now)) (void)t.pass(std::move(m), seat, true, now);
                if (seat == 0) continue;
                if (const auto behind = t.apart(now)) out.push_back(*behind / ms);
            }
        return out;
    };
    CHECK(told(40, 40 + limits::duet_apart_ms - 5, 0).empty());
    CHECK(told(40, 40 + limits::duet_apart_ms - 60, 40).empty());
    for (const std::int64_t off : {std::int64_t{limits::duet_apart_ms + 10}, std::int64_t{700}, std::int64_t{3'000}}) {
        const auto late = told(0, off, 0);
        REQUIRE(!late.empty());
        for (const auto b : late) CHECK(std::llabs(b - off) <= 10);
        CHECK(late.size() <= 10'000 / limits::duet_told_every_ms + 1);
    }
    const auto early = told(600, 100, 0);
    REQUIRE(!early.empty());
    CHECK(std::llabs(early.front() + 500) <= 10);
}
