// Who sings, who is lost and comes back, what a room remembers and tells (house.hpp).
#include "tests/integration/house.hpp"

namespace rooms_test {
using namespace ovation;
using namespace ovation::rooms;
using namespace ovation::test_room;
using namespace std::chrono_literals;

TEST_CASE("room: a singer whose connection dies comes back to the same performance at the same position") {
    house h;
    auto audience = h.enter(listener);
    auto on_stage = h.enter(singer);
    h.sing(on_stage);
    const auto performance = h.stage().performance_id();
    REQUIRE(performance > 0);
    h.clock.advance(10'000);
    h.leave(on_stage);
    h.take(audience);
    const auto told = std::ranges::find_if(audience.seen, [](const auto& f) { return f.has_stage() && f.stage().state() == v1::Stage::STATE_RECONNECTING; });
    REQUIRE(told != audience.seen.end());
    CHECK(told->stage().song_position() == 480'000);
    CHECK(told->stage().reconnect_until_ms() == h.clock.now_ms() + 90'000);

    h.clock.advance(89'999);
    h.tick();
    auto again = h.enter(singer);
    CHECK(again.welcome.stage().state() == v1::Stage::STATE_RECONNECTING);
    CHECK(again.welcome.stage().song_position() == 480'000);
    REQUIRE(h.take_stage(again).has_done());
    auto now = h.stage();
    CHECK(now.state() == v1::Stage::STATE_PAUSED);
    CHECK(now.performance_id() == performance);
    CHECK(now.song_position() == 480'000);
    CHECK(now.reconnect_until_ms() == 0);
    REQUIRE(h.control(again, v1::ControlSong::ACTION_PLAY).has_done());
    h.clock.advance(1'000);
    h.tick();
    CHECK(h.stage().song_position() == 528'000);
    CHECK(h.snapshot().show_id() == h.show_id);
    CHECK(h.performances("ended_at is null") == 1);
    CHECK(h.performances("ended_at is not null") == 0);
}

TEST_CASE("room: a lost singer has 90 000 ms, and not one more; then the show ends cleanly") {
    house h;
    auto audience = h.enter(listener);
    auto on_stage = h.enter(singer);
    h.sing(on_stage);
    h.clock.advance(2'000);
    h.leave(on_stage);
    h.clock.advance(89'999);
    h.tick();
    CHECK(h.snapshot().show_id() == h.show_id);
    CHECK(h.route().has_value());
    audience.seen.clear();
    h.clock.advance(1);
    h.tick();
    const auto open = "select count(*) from rooms.show where ended_at is null and id = " + std::to_string(h.show_id);
    for (int i = 0; i < 400 && city().number(open) != 0; ++i) std::this_thread::sleep_for(5ms);
    CHECK(city().number(open) == 0);
    CHECK(h.performances("ended_at is not null and song_position = 96000") == 1);
    CHECK(h.snapshot().show_id() == 0);
    h.tick();
    h.take(audience);
    CHECK(h.count(audience.seen, [](const auto& f) { return f.has_show() && !f.show().open(); }) == 1);
    CHECK(h.count(audience.seen, [](const auto& f) { return f.has_stage() && f.stage().state() == v1::Stage::STATE_EMPTY && f.stage().performance_id() == 0; }) == 1);
    CHECK(h.closed(audience) == 0);

    const auto refused = h.route();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "room_closed");
    CHECK(refused.error().kind == code::failed_precondition);
    auto late = h.enter(singer);
    CHECK(h.take_stage(late).refused().detail().reason() == "room_closed");
}

TEST_CASE("room: each loss of the singer has 90 000 ms of its own") {
    house h;
    auto on_stage = h.enter(singer);
    h.sing(on_stage);
    h.leave(on_stage);
    h.clock.advance(50'000);
    auto back = h.enter(singer);
    REQUIRE(h.take_stage(back).has_done());
    h.leave(back);
    h.clock.advance(89'999);
    h.tick();
    CHECK(h.snapshot().show_id() == h.show_id);
    h.clock.advance(1);
    h.tick();
    CHECK(h.snapshot().show_id() == 0);
}

TEST_CASE("room: after a restart the performance waits 90 000 ms for its singer") {
    for (const std::int64_t away_ms : {89'999, 90'000}) {
        house h;
        h.restored(77, 96'000);
        CHECK(h.stage().state() == v1::Stage::STATE_RECONNECTING);
        CHECK(h.stage().reconnect_until_ms() == h.clock.now_ms() + 90'000);
        CHECK(h.route().value().performance == performance_id(77));
        h.clock.advance(away_ms);
        h.tick();
        auto back = h.enter(singer);
        const auto answer = h.take_stage(back);
        if (away_ms == 90'000) {
            CHECK(answer.refused().detail().reason() == "room_closed");
            continue;
        }
        CHECK(answer.has_done());
        CHECK(h.stage().performance_id() == 77);
        CHECK(h.stage().song_position() == 96'000);
    }
}

TEST_CASE("room: the newer socket of the singer has the stage; the older one's end changes nothing") {
    house h;
    auto first = h.enter(singer);
    h.sing(first);
    auto second = h.enter(singer);
    REQUIRE(h.take_stage(second).has_done());
    h.leave(first);
    CHECK(h.stage().state() == v1::Stage::STATE_PAUSED);
    h.clock.advance(90'001);
    h.tick();
    CHECK(h.snapshot().show_id() == h.show_id);
    CHECK(h.media(second).body_case() == v1::ServerFrame::BODY_NOT_SET);
}

TEST_CASE("room: a gift of the gap is hers, and is shown to all, once, when she resumes") {
    house h;
    auto audience = h.enter(listener);
    auto on_stage = h.enter(singer);
    h.sing(on_stage);
    h.show(gift(5));
    h.take(on_stage);
    CHECK(gifts_in(on_stage.seen) == std::vector<std::int64_t>{5});
    const auto offset = on_stage.seen.back().offset();
    h.leave(on_stage);
    h.clock.advance(30'000);
    const auto route = h.route();
    REQUIRE(route);
    CHECK(route->singer == singer);
    CHECK(route->performance.value == h.stage().performance_id());
    h.show(gift(6));
    auto again = h.enter(singer, house::resume(on_stage.welcome.epoch(), offset, 5));
    CHECK(again.welcome.resumed());
    CHECK_FALSE(again.welcome.reload());
    h.show(gift(7));
    CHECK(gifts_in(h.take(again)) == std::vector<std::int64_t>{6, 7});
    CHECK(gifts_in(h.take(audience)) == std::vector<std::int64_t>{5, 6, 7});
}

TEST_CASE("room: gifts that come while the books are read are told once, in order") {
    house h;
    h.journal.books = {gift(1), gift(2), gift(3)};
    // 3 is in the books and its announcement still on the way; 4 is newer than what was read.
    h.journal.while_reading = [&] {
        h.show_here(gift(3));
        h.show_here(gift(4));
    };
    auto late = h.enter(listener, house::resume("another epoch", 7, 1));
    CHECK(late.welcome.resumed());
    h.show(gift(5));
    CHECK(gifts_in(h.take(late)) == std::vector<std::int64_t>{2, 3, 4, 5});
}

TEST_CASE("room: presence is sampled once a second, and only when it has changed") {
    house h;
    auto a = h.enter(listener);
    auto b = h.enter(user_id(4));
    auto c = h.enter({});
    const auto told = [&] {
        std::vector<int> out;
        for (const auto& f : h.take(a))
            if (f.has_presence()) out.push_back(f.presence().listeners());
        a.seen.clear();
        return out;
    };
    h.tick();
    CHECK(told() == std::vector<int>{3});
    auto d = h.enter(user_id(5));
    h.clock.advance(999);
    h.tick();
    CHECK(told().empty());
    h.clock.advance(1);
    h.tick();
    CHECK(told() == std::vector<int>{4});
    h.clock.advance(60'000);
    h.tick();
    CHECK(told().empty());
    h.leave(b);
    h.leave(d);
    h.tick();
    CHECK(told() == std::vector<int>{2});
}

TEST_CASE("room: a mute and a kick end on time") {
    house h;
    auto a = h.enter(listener);
    const auto until = h.clock.now_ms() + 60'000;
    h.restrain(listener, v1::Moderation::KIND_MUTED, until);
    CHECK(h.chat(a, "now").refused().detail().reason() == "muted");
    h.clock.advance(59'999);
    CHECK(h.chat(a, "almost").refused().detail().reason() == "muted");
    h.clock.advance(1);
    CHECK(h.chat(a, "after").has_done());

    h.restrain(listener, v1::Moderation::KIND_MUTED, h.clock.now_ms() + 60'000);
    h.restrain(listener, v1::Moderation::KIND_UNMUTED, 0);
    CHECK(h.chat(a, "lifted").has_done());

    h.restrain(listener, v1::Moderation::KIND_KICKED, h.clock.now_ms() + 60'000);
    CHECK(h.closed(a) == close_kicked);
    h.leave(a);
    h.clock.advance(59'999);
    const auto refused = h.try_enter(listener);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "kicked");
    h.clock.advance(1);
    CHECK(h.try_enter(listener).has_value());
}

TEST_CASE("room: ten minutes are remembered; who missed more is told to reload") {
    house h;
    auto a = h.enter(listener);
    const auto epoch = a.welcome.epoch();
    h.show(gift(1));
    h.clock.advance(600'000);
    h.tick();
    auto in_time = h.enter(user_id(4), house::resume(epoch, 0));
    CHECK_FALSE(in_time.welcome.reload());
    CHECK(gifts_in(in_time.seen) == std::vector<std::int64_t>{1});

    h.clock.advance(1);
    h.tick();
    auto late = h.enter(user_id(5), house::resume(epoch, 0));
    CHECK(late.welcome.reload());
    auto nothing_missed = h.enter(user_id(6), house::resume(epoch, 1));
    CHECK_FALSE(nothing_missed.welcome.reload());
    h.show(gift(2));
    auto partly = h.enter(user_id(7), house::resume(epoch, 0));
    CHECK(partly.welcome.reload());
    auto one_behind = h.enter(user_id(8), house::resume(epoch, 1));
    CHECK_FALSE(one_behind.welcome.reload());
    CHECK(gifts_in(one_behind.seen) == std::vector<std::int64_t>{2});
}

TEST_CASE("room: 4 096 events are remembered, not one more") {
    house h;
    auto a = h.enter(listener);
    for (int i = 1; i <= 4'096; ++i) h.show(gift(i));
    auto whole = h.enter(user_id(4), house::resume(a.welcome.epoch(), 0));
    CHECK_FALSE(whole.welcome.reload());
    CHECK(gifts_in(whole.seen).size() == 4'096);
    h.show(gift(5'000));
    auto late = h.enter(user_id(5), house::resume(a.welcome.epoch(), 0));
    CHECK(late.welcome.reload());
}

TEST_CASE("room: of another life of the server 1 999 gifts are told whole; with the 2 000th comes a word to reload") {
    house h;
    for (int i = 1; i < limits::gifts_told_again_max; ++i) h.journal.books.push_back(gift(i));
    auto whole = h.enter(user_id(4), house::resume("another life", 0));
    CHECK_FALSE(whole.welcome.reload());
    CHECK(std::ssize(gifts_in(whole.seen)) == limits::gifts_told_again_max - 1);
    for (int i = 0; i < 2; ++i) h.journal.books.push_back(gift(limits::gifts_told_again_max + i));
    auto partly = h.enter(user_id(5), house::resume("another life", 0));
    CHECK(partly.welcome.reload());
    const auto told = gifts_in(partly.seen);
    REQUIRE(std::ssize(told) == limits::gifts_told_again_max);
    CHECK(told.back() == limits::gifts_told_again_max);
}

TEST_CASE("room: ten minutes of an open show are told once for each listener, whatever pages they have") {
    house h;
    auto one = h.enter(user_id(5));
    auto two = h.enter(user_id(5));
    auto guest = h.enter(user_id());
    auto own = h.enter(singer);
    const auto pass = [&](std::int64_t ms) {
        for (std::int64_t t = 0; t < ms; t += 30'000) {
            h.clock.advance(std::min<std::int64_t>(30'000, ms - t));
            h.tick();
        }
    };
    h.tick();
    pass(limits::free_gift_after_ms - 1);
    CHECK(h.earned().empty());
    pass(1'001);
    CHECK(h.earned() == std::vector{user_id(5)});
    pass(limits::free_gift_after_ms + 1'000);
    CHECK(h.earned().size() == 2);
}

TEST_CASE("room: a song ends by itself two seconds behind its last sample, not while it pauses") {
    house h;
    auto staff = h.enter(singer);
    REQUIRE(h.take_stage(staff).has_done());
    REQUIRE(h.pick(staff, 1, 0) == "done");
    REQUIRE(h.control(staff, v1::ControlSong::ACTION_PLAY).has_done());
    const auto after = [&](std::int64_t ms) {
        h.clock.advance(ms);
        h.tick();
        return h.shown().song_id() != 0;
    };
    CHECK(after(100'000));
    REQUIRE(h.control(staff, v1::ControlSong::ACTION_PAUSE).has_done());
    CHECK(after(60'000));
    CHECK_FALSE(h.shown().playing());
    REQUIRE(h.control(staff, v1::ControlSong::ACTION_PLAY).has_done());
    CHECK(after(limits::song_over_ms - 1));
    CHECK_FALSE(after(1));
    CHECK(h.until([&] { return city().number("select count(*) from rooms.performance where ended_at is null and show_id = " + std::to_string(h.show_id)) == 0; }));
}
TEST_CASE("room: the end of a show that could not be written is written as soon as it can") {
    house h;
    const auto show = std::to_string(h.show_id);
    const auto ended = [&] { return city().number("select count(*) from rooms.show where ended_at is not null and id = " + show) == 1; };
    city().as_owner("create function rooms.t_refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$; "
                    "create trigger t_refuse before update on rooms.show for each row when (new.id = " + show + ") execute function rooms.t_refuse()");
    const auto first = h.wait(h.room().end_show()), second = h.wait(h.room().end_show());
    h.clock.advance(5'000);
    h.tick();
    city().as_owner("drop function rooms.t_refuse cascade");
    CHECK_FALSE(first);
    CHECK_FALSE(second);
    CHECK_FALSE(ended());
    for (int i = 0; i < 400 && !ended(); ++i, std::this_thread::sleep_for(5ms)) {
        h.clock.advance(1'000);
        h.tick();
    }
    CHECK(ended());
    CHECK(h.wait(h.room().end_show()));
}

TEST_CASE("room: songs asked for and taken back: 20 at once, then 2 a second; the staff's are not counted") {
    house h;
    auto guest = h.enter(user_id(20)), staff = h.enter(singer);
    std::int64_t id = 0;
    for (int i = 0; i < 10; ++i) {
        REQUIRE(h.asks_song(guest) == "done");
        REQUIRE(h.cancel(guest, ++id) == "done");
    }
    CHECK(h.asks_song(guest) == "too_many_commands");
    h.clock.advance(499);
    CHECK(h.asks_song(guest) == "too_many_commands");
    h.clock.advance(1);
    CHECK(h.asks_song(guest) == "done");
    CHECK(h.cancel(guest, ++id) == "too_many_commands");
    for (int i = 0; i < 30; ++i) CHECK(h.asks_song(staff, 1, "guest " + std::to_string(i)) == "done");
}

}  // namespace rooms_test
