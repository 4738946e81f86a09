// Listeners who cannot keep up: what is skipped, what is dropped, who is closed (house.hpp).
#include "tests/integration/house.hpp"

namespace behind_test {
using namespace ovation;
using namespace ovation::rooms;
using namespace ovation::test_room;
using namespace std::chrono_literals;

TEST_CASE("behind: of a state only the newest of its key comes") {
    house h;
    auto on_stage = h.enter(singer);
    auto slow = h.enter(listener);
    h.stall(slow);
    h.sing(on_stage);
    for (int i = 0; i < 5; ++i) {
        h.control(on_stage, v1::ControlSong::ACTION_PAUSE);
        h.control(on_stage, v1::ControlSong::ACTION_PLAY);
        auto more = h.enter(user_id(10 + i));
        h.clock.advance(1'000);
        h.tick();
    }
    slow.seen.clear();
    h.flow(slow);
    std::vector<std::int64_t> versions;
    std::vector<int> counts;
    for (const auto& f : slow.seen) {
        if (f.has_stage()) versions.push_back(f.stage().version());
        if (f.has_presence()) counts.push_back(f.presence().listeners());
    }
    // The first may have been on its way when the socket stalled.
    REQUIRE(versions.size() + counts.size() <= 3);
    REQUIRE_FALSE(versions.empty());
    REQUIRE_FALSE(counts.empty());
    CHECK(versions.back() == h.stage().version());
    CHECK(counts.back() == 7);
}

TEST_CASE("behind: chat keeps the newest 64 and tells how many were skipped") {
    house h;
    auto slow = h.enter(listener);
    h.stall(slow);
    std::vector<std::string> said;
    for (int u = 0; u < 20; ++u) {
        auto speaker = h.enter(user_id(4 + u));
        for (int i = 0; i < 5; ++i) {
            said.push_back(std::to_string(u) + "." + std::to_string(i));
            REQUIRE(h.chat(speaker, said.back()).has_done());
        }
        h.leave(speaker);
    }
    slow.seen.clear();
    h.flow(slow);
    const auto got = chats_in(slow.seen);
    std::uint32_t skipped = 0;
    CHECK(h.count(slow.seen, [](const auto& f) { return f.has_chat_skipped(); }) == 1);
    for (const auto& f : slow.seen) skipped += f.chat_skipped().count();
    CHECK(got.size() + skipped == said.size());
    REQUIRE(got.size() >= 64);
    CHECK(got.size() <= 65);  // and the one that was on its way
    CHECK(std::vector(got.end() - 64, got.end()) == std::vector(said.end() - 64, said.end()));
    CHECK(h.closed(slow) == 0);
    slow.seen.clear();
    auto speaker = h.enter(user_id(30));
    REQUIRE(h.chat(speaker, "after").has_done());
    CHECK(chats_in(h.take(slow)) == std::vector<std::string>{"after"});
}

TEST_CASE("behind: chat older than 5 s is skipped, of 5 s exactly is not") {
    for (const bool late : {false, true}) {
        house h;
        auto slow = h.enter(listener);
        auto speaker = h.enter(user_id(4));
        h.stall(slow);
        for (int i = 0; i < 5; ++i) REQUIRE(h.chat(speaker, std::to_string(i)).has_done());
        h.clock.advance(5'000 + (late ? 1 : 0));
        slow.seen.clear();
        h.flow(slow);
        const auto got = chats_in(slow.seen);
        std::uint32_t skipped = 0;
        for (const auto& f : slow.seen) skipped += f.chat_skipped().count();
        CHECK(got.size() + skipped == 5);
        CHECK((late ? skipped >= 4 : skipped == 0));  // the first may have been on its way
    }
}

TEST_CASE("behind: sound older than the listener's buffer and 400 ms is dropped; the sequence shows the gap") {
    struct one {
        std::int64_t buffer_ms, age_ms;
    };
    for (const auto [buffer_ms, age_ms] : {one{0, 400}, one{250, 650}, one{60'000, 2'500}}) {
        house h;
        auto on_stage = h.enter(singer);
        h.sing(on_stage);
        auto slow = h.enter(listener, {}, buffer_ms);
        h.stall(slow);
        for (int i = 0; i < 4; ++i) h.media(on_stage);
        h.clock.advance(age_ms);
        h.media(on_stage);
        slow.seen.clear();
        h.flow(slow);
        CHECK(media_in(slow.seen) == std::vector<std::uint32_t>{1, 2, 3, 4, 5});

        h.stall(slow);
        for (int i = 0; i < 4; ++i) h.media(on_stage);  // 6 … 9
        h.clock.advance(age_ms + 1);
        h.media(on_stage);
        slow.seen.clear();
        h.flow(slow);
        const auto got = media_in(slow.seen);
        INFO("buffer " << buffer_ms);
        CHECK(got.size() <= 2);  // 6 may have been on its way
        REQUIRE_FALSE(got.empty());
        CHECK(got.back() == 10);
        CHECK(h.closed(slow) == 0);
    }
}

TEST_CASE("behind: a frame that was cut is finished before anything else") {
    house h;
    auto slow = h.enter(listener);
    h.stall(slow);
    h.on_core([&] { slow.pipe->lets_through = 7; });
    h.show(gift(1));
    h.show(gift(2));
    h.restrain(user_id(9), v1::Moderation::KIND_MUTED, h.clock.now_ms() + 1);
    slow.seen.clear();
    h.flow(slow);
    CHECK(gifts_in(slow.seen) == std::vector<std::int64_t>{1, 2});
    CHECK(slow.seen.back().has_moderation());
    CHECK(slow.seen.size() == 3);
}

TEST_CASE("behind: gifts are never dropped; after 10 s the socket is closed with 4008, and a resume tells all of them once") {
    house h;
    auto slow = h.enter(listener);
    h.stall(slow);
    for (int i = 1; i <= 3; ++i) h.show(gift(i));
    h.clock.advance(10'000);
    h.tick();
    CHECK(h.closed(slow) == 0);
    h.clock.advance(1);
    h.tick();
    CHECK(h.closed(slow) == close_behind);
    h.leave(slow);
    auto again = h.enter(listener, house::resume(slow.welcome.epoch(), slow.welcome.offset()));
    h.show(gift(4));
    CHECK(gifts_in(h.take(again)) == std::vector<std::int64_t>{1, 2, 3, 4});
    CHECK_FALSE(again.welcome.reload());
}

TEST_CASE("behind: a single gift that does not get through for 10 s closes the socket too") {
    house h;
    auto slow = h.enter(listener);
    h.stall(slow);
    h.show(gift(1));
    h.clock.advance(10'000);
    h.tick();
    CHECK(h.closed(slow) == 0);
    h.clock.advance(1);
    h.tick();
    CHECK(h.closed(slow) == close_behind);
}

TEST_CASE("behind: 256 KiB of gifts are kept, more close the socket with 4008") {
    house h;
    auto slow = h.enter(listener);
    auto quick = h.enter(user_id(4));
    h.stall(slow);
    h.show(gift(1, 1));  // the one on its way
    constexpr std::size_t each = 64 * 1024;
    v1::ServerFrame measure;
    *measure.mutable_gift() = gift(2, each);
    measure.set_offset(2);
    const auto frame_bytes = framed(encoding::proto, measure.SerializeAsString()).size();
    for (int i = 2; i <= 4; ++i) h.show(gift(i, each));
    h.show(gift(5, each - 4 * (frame_bytes - each)));
    h.tick();
    CHECK(h.closed(slow) == 0);
    h.show(gift(6, 200));
    h.tick();
    CHECK(h.closed(slow) == close_behind);
    CHECK(h.closed(quick) == 0);
    CHECK(gifts_in(h.take(quick)) == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6});
}
}  // namespace behind_test
