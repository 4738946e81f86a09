// Bumps as the room sells them: moved, captured when sung, given back when not (house.hpp).
#include "tests/integration/house.hpp"

namespace room_bumps_test {
using namespace ovation;
using namespace ovation::rooms;
using namespace ovation::test_room;
using namespace std::chrono_literals;

TEST_CASE("bump: it moves one's own request, at the price that was shown, as often as the room sells it") {
    house h;
    std::vector<seat> people;
    for (int i = 0; i < 4; ++i) {
        people.push_back(h.enter(user_id(10 + i)));
        REQUIRE(h.asks_song(people.back()) == "done");
    }
    CHECK(h.bump(people[3], 4) == "bumps_not_sold");
    h.sell_bumps(500, 2);
    CHECK(h.queue() == "1 2 3 4 left 2");
    CHECK(h.bump(people[3], 4, 499) == "price_changed");
    CHECK(h.bump(people[3], 3) == "not_yours");
    CHECK(h.bump(people[3], 9) == "not_found");
    CHECK(h.bump(people[0], 1) == "next_is_locked");
    CHECK(h.bumps.log.empty());
    CHECK(h.bump(people[3], 4) == "done");
    CHECK(h.bump(people[3], 4) == "already_bumped");
    CHECK(h.queue() == "1 4! 2 3 left 1");
    CHECK(h.bump(people[2], 3) == "done");
    CHECK(h.bump(people[1], 2) == "bumps_sold_out");
    CHECK(h.queue() == "1 4! 3! 2 left 0");
    CHECK(h.told("hold4 hold3 "));
    auto staff = h.enter(singer);
    REQUIRE(h.asks_song(staff, 1, "Table four") == "done");
    h.sell_bumps(500, 9);
    CHECK(h.bump(staff, 5) == "not_yours");
    CHECK(city().number("select count(*) from rooms.show where (queue->'entries'->1->>'bumped')::boolean and id = " + std::to_string(h.show_id)) == 1);
}

TEST_CASE("bump: what changed while the coins were being held gives them back") {
    house h;
    auto one = h.enter(user_id(10)), two = h.enter(user_id(11)), three = h.enter(user_id(12));
    for (auto* s : {&one, &two, &three}) REQUIRE(h.asks_song(*s) == "done");
    h.sell_bumps(500, 9);
    auto& room = h.room();
    // The request is gone; it has become the next one; the price is another; the show is over.
    h.bumps.while_holding = [&] { h.cancel_here(three, 3); };
    CHECK(h.bump(three, 3) == "not_found");
    CHECK(h.told("hold3 release3 "));
    h.bumps.while_holding = [&] { h.cancel_here(one, 1); };
    CHECK(h.bump(two, 2) == "next_is_locked");
    REQUIRE(h.asks_song(three) == "done");
    h.bumps.while_holding = [&] { room.set_bumps(600, 9); };
    CHECK(h.bump(three, 4) == "price_changed");
    CHECK(h.told("hold3 release3 hold2 release2 hold4 release4 "));
    h.bumps.while_holding = [&] { room.show_opened(h.show_id + 1'000'000, 0); };
    CHECK(h.bump(three, 4, 600) == "room_closed");
    CHECK(h.told("hold3 release3 hold2 release2 hold4 release4 hold4 release4 "));
    CHECK(h.queue() == "2 4 left 9");
}

TEST_CASE("bump: released when cancelled, when a skip cannot be taken back any more, when the show ends; its place is sold again") {
    house h;
    std::vector<seat> people;
    for (int i = 0; i < 6; ++i) {
        people.push_back(h.enter(user_id(10 + i)));
        REQUIRE(h.asks_song(people.back()) == "done");
    }
    h.sell_bumps(500, 5);
    for (const std::int64_t id : {2, 3, 4, 5, 6}) REQUIRE(h.bump(people[static_cast<std::size_t>(id - 1)], id) == "done");
    auto staff = h.enter(singer);
    std::string log = h.bumps.log;
    CHECK(h.cancel(people[1], 2) == "done");
    CHECK(h.told(log += "release2 "));
    CHECK(h.arrange(staff, v1::ArrangeQueue::ACTION_SKIP, 3) == "done");
    CHECK(h.arrange(staff, v1::ArrangeQueue::ACTION_UNDO_SKIP) == "done");
    CHECK(h.arrange(staff, v1::ArrangeQueue::ACTION_SKIP, 3) == "done");
    CHECK(h.queue() == "1 4! 5! 6! left 1");
    CHECK(h.bumps.log == log);
    CHECK(h.arrange(staff, v1::ArrangeQueue::ACTION_SKIP, 99) == "not_found");
    CHECK(h.bumps.log == log);
    CHECK(h.arrange(staff, v1::ArrangeQueue::ACTION_SKIP, 4) == "done");
    CHECK(h.told(log += "release3 "));
    CHECK(h.queue() == "1 5! 6! left 2");
    h.end_show();
    CHECK(h.told(log += "release5 release6 release4 "));
    CHECK(h.queue() == "left 5");
}

TEST_CASE("bump: captured when 30 s of the song were played, whatever was sought; released when not, or for another song") {
    house h;
    std::vector<seat> people;
    for (int i = 0; i < 5; ++i) {
        people.push_back(h.enter(user_id(10 + i)));
        REQUIRE(h.asks_song(people.back()) == "done");
    }
    const auto other = city().number("insert into songs.song (content_hash, title, artist, duration_samples, source, lyrics) values ('h" + std::to_string(h.show_id) + "', 'Another', 'trad.', 4800000, '', '{}') returning id");
    h.sell_bumps(500, 9);
    for (const std::int64_t id : {2, 3, 4, 5}) REQUIRE(h.bump(people[static_cast<std::size_t>(id - 1)], id) == "done");
    auto log = h.bumps.log;
    auto staff = h.enter(singer);
    REQUIRE(h.take_stage(staff).has_done());
    const auto play = [&](std::int64_t ms) {
        REQUIRE(h.control(staff, v1::ControlSong::ACTION_PLAY).has_done());
        for (std::int64_t t = 0; t < ms; t += 250) {
            h.clock.advance(std::min<std::int64_t>(250, ms - t));
            h.tick();
        }
    };
    CHECK(h.pick(staff, 1, 2) == "done");
    CHECK(h.told(log += "sung2 "));
    play(10'000);
    REQUIRE(h.control(staff, v1::ControlSong::ACTION_PAUSE).has_done());
    h.clock.advance(60'000);  // a long pause is no singing
    h.tick();
    v1::ClientFrame back;
    back.mutable_control_song()->set_action(v1::ControlSong::ACTION_SEEK);
    REQUIRE(h.ask(staff, back).has_done());
    play(20'000);
    CHECK(h.bumps.log == log);
    CHECK(h.control(staff, v1::ControlSong::ACTION_STOP).has_done());
    CHECK(h.told(log += "capture2by11 "));

    CHECK(h.pick(staff, 1, 3) == "done");
    CHECK(h.told(log += "sung3 "));
    back.mutable_control_song()->set_song_position(3'000'000);  // sought, not sung
    REQUIRE(h.ask(staff, back).has_done());
    play(29'999);
    REQUIRE(h.control(staff, v1::ControlSong::ACTION_PAUSE).has_done());
    h.clock.advance(60'000);
    h.tick();
    CHECK(h.queue() == "1 4! 5! left 5");
    CHECK(h.pick(staff, other, 4) == "done");  // ends the one before, and is not what was asked for
    CHECK(h.until([&] { return h.bumps.log.size() == log.size() + std::string("release3 release4 ").size(); }));
    CHECK(h.bumps.log.find("release3 ") != std::string::npos);
    CHECK(h.bumps.log.find("release4 ") != std::string::npos);
    log = h.bumps.log;
    CHECK(h.queue() == "1 5! left 7");
    CHECK(h.pick(staff, 1, 5) == "done");
    CHECK(h.told(log += "sung5 "));
    play(30'000);
    h.end_show();
    CHECK(h.told(log += "capture5by11 "));
}

TEST_CASE("bump: after a restart the books and the queue are compared") {
    house h;
    h.sell_bumps(500, 9);
    h.restored(77, 31'000 * 48);
    // 1 is locked; 2 is paid and stands in front; 3 says that it is bumped, and nobody paid; 4 was paid, and did not move; 5 is gone;
    // 6 is being sung; 7 was sung in another performance; 8 was captured.
    h.restored_bumps(R"({"entries":[{"id":"1","userId":"10","name":"a","songId":"1"},{"id":"2","userId":"11","name":"b","songId":"1","bumped":true},{"id":"3","userId":"12","name":"c","songId":"1","bumped":true},{"id":"4","userId":"13","name":"d","songId":"1"}],"nextId":"9"})",
                     {{2, user_id(11), {}, {}, true}, {4, user_id(13), {}, {}, true}, {5, user_id(14), {}, {}, true}, {6, user_id(15), performance_id(77), route_id(12), true},
                      {7, user_id(16), performance_id(76), route_id(12), true}, {8, user_id(17), performance_id(75), route_id(12), false}});
    CHECK(h.told("release4 release5 "));
    CHECK(h.queue() == "1 2! 3 4 left 5");
    auto staff = h.enter(singer);
    REQUIRE(h.take_stage(staff).has_done());
    REQUIRE(h.control(staff, v1::ControlSong::ACTION_STOP).has_done());
    CHECK(h.told("release4 release5 capture6by12 "));
}
}  // namespace room_bumps_test
