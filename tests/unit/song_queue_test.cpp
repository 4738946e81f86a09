#include "tests/support/catch.hpp"

#include "rooms/song_queue.hpp"

using namespace ovation;
using rooms::song_queue;

namespace {
song_queue::request ask(std::int64_t user, std::int64_t song) { return {0, user_id(user), "u" + std::to_string(user), song, "t", "a", 0, 180'000, false}; }
std::string order(const song_queue& q) {
    std::string out;
    const auto shown = q.shown(0);
    for (const auto& e : shown.entries()) out += e.name() + ":" + std::to_string(e.song_id()) + " ";
    return out;
}
}  // namespace

TEST_CASE("queue: first requests stand before second ones, the next one is locked") {
    song_queue q;
    for (const auto& [user, song] : {std::pair{1, 1}, {1, 2}, {1, 3}, {2, 4}, {3, 5}, {2, 6}}) CHECK(q.add(ask(user, song)));
    CHECK(order(q) == "u1:1 u2:4 u3:5 u1:2 u2:6 u1:3 ");
    CHECK(q.add(ask(1, 9)).error().reason == "too_many_requests");
    CHECK(q.add(ask(2, 4)).error().reason == "already_asked");
    const auto s = q.shown(60'000);
    CHECK(s.entries(0).locked());
    CHECK_FALSE(s.entries(1).locked());
    CHECK(s.entries(0).wait_ms() == 60'000);
    CHECK(s.entries(1).wait_ms() == 260'000);
}
TEST_CASE("queue: who waited longest since they were sung for comes first") {
    song_queue q;
    for (const auto user : {1, 2, 3}) CHECK(q.add(ask(user, user)));
    CHECK(q.sing(1, 1'000));
    CHECK(q.sing(2, 2'000));
    CHECK(q.add(ask(2, 12)));
    CHECK(q.add(ask(1, 11)));
    CHECK(q.add(ask(4, 14)));
    CHECK(order(q) == "u3:3 u4:14 u1:11 u2:12 ");
}
TEST_CASE("queue: staff move, skip, take back, keep a place; the locked one stays") {
    song_queue q;
    for (const auto user : {1, 2, 3, 4}) CHECK(q.add(ask(user, user)));
    CHECK(q.move(4, 1));
    CHECK(order(q) == "u1:1 u4:4 u2:2 u3:3 ");
    CHECK(q.move(1, 3).error().reason == "next_is_locked");
    CHECK(q.move(3, 0).error().reason == "next_is_locked");
    CHECK(q.skip(2));
    CHECK(order(q) == "u1:1 u4:4 u3:3 ");
    CHECK(q.undo_skip());
    CHECK(order(q) == "u1:1 u4:4 u2:2 u3:3 ");
    CHECK(q.undo_skip().error().reason == "nothing_skipped");
    CHECK(q.hold(1, true));
    const auto s = q.shown(0);
    CHECK(s.entries(0).held());
    CHECK(s.entries(1).locked());
    song_queue again;
    again.restore(s);
    CHECK(again.shown(0).SerializeAsString() == s.SerializeAsString());
    CHECK(q.take(99).error().reason == "not_found");
}
TEST_CASE("queue: the limit of a room at its edge") {
    song_queue q;
    for (int i = 1; i <= 100; ++i) CHECK(q.add(ask(i, i)));
    CHECK(q.add(ask(101, 1)).error().reason == "queue_full");
}
TEST_CASE("queue: a bumped request passes all that are not, never the locked one, and stands behind those bumped earlier") {
    song_queue q;
    for (const auto user : {1, 2, 3, 4, 5}) CHECK(q.add(ask(user, user)));
    CHECK(q.bump(4));
    CHECK(order(q) == "u1:1 u4:4 u2:2 u3:3 u5:5 ");
    CHECK(q.bump(5));
    CHECK(order(q) == "u1:1 u4:4 u5:5 u2:2 u3:3 ");
    CHECK(q.bump(2));  // it stood there already: paid, marked, and safe from later ones
    CHECK(order(q) == "u1:1 u4:4 u5:5 u2:2 u3:3 ");
    CHECK(q.bump(3));
    CHECK(order(q) == "u1:1 u4:4 u5:5 u2:2 u3:3 ");
    CHECK(q.bump(4).error().reason == "already_bumped");
    CHECK(q.bump(1).error().reason == "next_is_locked");
    CHECK(q.bump(99).error().reason == "not_found");
    const auto s = q.shown(0);
    CHECK_FALSE(s.entries(0).bumped());
    CHECK(s.entries(1).bumped());
    song_queue again;
    again.restore(s);
    CHECK(again.shown(0).SerializeAsString() == s.SerializeAsString());
    again.forget_bump(4);
    CHECK(order(again) == order(q));
    CHECK(again.bump(4));
}
TEST_CASE("queue: the locked one behind a kept place cannot be passed either") {
    song_queue q;
    for (const auto user : {1, 2, 3, 4}) CHECK(q.add(ask(user, user)));
    CHECK(q.hold(1, true));
    CHECK(q.bump(2).error().reason == "next_is_locked");
    CHECK(q.bump(1).error().reason == "next_is_locked");
    CHECK(q.bump(4));
    CHECK(order(q) == "u1:1 u2:2 u4:4 u3:3 ");
    CHECK(q.hold(2, true));
    CHECK(q.hold(4, true));
    CHECK(q.bump(3).error().reason == "next_is_locked");
}
TEST_CASE("queue: with every place kept the first is the locked one") {
    song_queue q;
    for (const auto user : {1, 2, 3}) CHECK(q.add(ask(user, user)));
    for (const auto id : {1, 2, 3}) CHECK(q.hold(id, true));
    CHECK(q.bump(1).error().reason == "next_is_locked");
    CHECK(q.bump(3));
    CHECK(order(q) == "u1:1 u3:3 u2:2 ");
}
TEST_CASE("queue: who asks later stands behind the bumped ones; staff may still move them") {
    song_queue q;
    for (const auto& [user, song] : {std::pair{1, 1}, {1, 2}, {2, 3}}) CHECK(q.add(ask(user, song)));
    CHECK(order(q) == "u1:1 u2:3 u1:2 ");
    CHECK(q.bump(2));  // a second request, bumped before another's first
    CHECK(order(q) == "u1:1 u1:2 u2:3 ");
    CHECK(q.add(ask(3, 4)));
    CHECK(order(q) == "u1:1 u1:2 u2:3 u3:4 ");
    CHECK(q.move(3, 1));
    CHECK(order(q) == "u1:1 u2:3 u1:2 u3:4 ");
    CHECK(q.bump(4));  // in front of all that are not bumped
    CHECK(order(q) == "u1:1 u3:4 u2:3 u1:2 ");
}
TEST_CASE("queue: a skipped bump comes back bumped") {
    song_queue q;
    for (const auto user : {1, 2, 3}) CHECK(q.add(ask(user, user)));
    CHECK(q.bump(3));
    CHECK(q.skipped() == nullptr);
    CHECK(q.skip(3));
    REQUIRE(q.skipped());
    CHECK((q.skipped()->id == 3 && q.skipped()->bumped));
    CHECK(q.undo_skip());
    CHECK(q.skipped() == nullptr);
    CHECK(q.shown(0).entries(1).bumped());
    CHECK(q.sing(3, 1)->bumped);
}
