// One room on a core of its own, with a clock that the test turns, sockets that stall on demand and a real database.
#include "tests/support/catch.hpp"
#include <boost/asio/use_future.hpp>
#include <future>

#include "base/limits.hpp"
#include "identity/access_gate.hpp"
#include "rooms/room.hpp"
#include "tests/support/database.hpp"

using namespace ovation;
using namespace ovation::rooms;
using namespace std::chrono_literals;

namespace {
constexpr std::int64_t start_ms = 1'700'000'000'000;
const user_id agent(1), singer(2), listener(3);

// A length and the payload, so that a test can take them apart again.
std::string framed(encoding, std::string_view payload) {
    const auto size = static_cast<std::uint32_t>(payload.size());
    return std::string(reinterpret_cast<const char*>(&size), sizeof size) + std::string(payload);
}

struct fake_pipe final : pipe {
    std::ptrdiff_t write_some(std::string_view bytes) override {
        if (code != 0) return -1;
        const auto taken = stalled ? std::min(lets_through, bytes.size()) : bytes.size();
        lets_through -= stalled ? taken : 0;
        came += bytes.substr(0, taken);
        return static_cast<std::ptrdiff_t>(taken);
    }
    void wait_writable(std::function<void()> r) override { ready = std::move(r); }
    void close(int c, std::string_view) override {
        if (code == 0) code = c;
    }
    [[nodiscard]] bool closing() const override { return code != 0; }
    bool stalled = false;
    std::size_t lets_through = 0;  // while stalled: bytes that still go
    std::string came;
    std::function<void()> ready;
    int code = 0;
};

struct fake_routes final : route_maker {
    awaitable<result<route_id>> make(channel_id, user_id, bool) override { co_return route_id(11); }
};
struct fake_journal final : journal_view {
    awaitable<result<missed_gifts>> gifts_since(room_id, entry_seq after, int) override {
        if (while_reading) {
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
            std::exchange(while_reading, {})();
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        }
        missed_gifts out;
        for (const auto& g : books)
            if (g.entry_seq() > after.value) out.gifts.push_back(g);
        co_return out;
    }
    entry_seq announced() override { return {}; }
    std::vector<v1::GiftShown> books;
    std::function<void()> while_reading;
};
struct fake_gifts final : gift_counter {
    awaitable<result<v1::SendGiftResponse>> send(granted, v1::SendGiftRequest) override { co_return v1::SendGiftResponse(); }
    awaitable<void> watched(user_id user) override {
        earned.push_back(user);
        co_return;
    }
    std::vector<user_id> earned;
};
struct fake_bumps final : bump_counter {
    awaitable<result<bool>> hold(bump_order order, std::optional<fault> if_new) override {
        if (if_new) co_return *if_new;
        log += "hold" + std::to_string(order.request) + " ";
        if (while_holding) {
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
            std::exchange(while_holding, {})();
        }
        co_return false;
    }
    awaitable<result<void>> sung_in(show_id, std::int64_t request, performance_id, route_id) override {
        log += "sung" + std::to_string(request) + " ";
        co_return result<void>{};
    }
    awaitable<result<void>> capture(show_id, std::int64_t request, route_id route) override {
        log += "capture" + std::to_string(request) + "by" + std::to_string(route.value) + " ";
        co_return result<void>{};
    }
    awaitable<result<void>> release(show_id, std::int64_t request) override {
        log += "release" + std::to_string(request) + " ";
        co_return result<void>{};
    }
    awaitable<result<std::vector<paid_bump>>> paid(show_id) override { co_return std::vector<paid_bump>(); }
    std::string log;
    std::function<void()> while_holding;
};
struct fake_supporters final : supporters_view {
    awaitable<result<v1::Supporters>> top_today(room_id) override { co_return v1::Supporters(); }
};
struct fake_wallets final : wallet_view {
    awaitable<result<v1::Balance>> balance_of(user_id) override { co_return v1::Balance(); }
};

v1::GiftShown gift(std::int64_t seq, std::size_t name_bytes = 4) {
    v1::GiftShown g;
    g.set_entry_seq(seq);
    g.set_user_id(listener.value);
    g.set_name(std::string(name_bytes, 'n'));
    g.set_singer_id(singer.value);
    return g;
}

struct seat {
    std::shared_ptr<fake_pipe> pipe;
    member_ptr who;
    v1::Welcome welcome;
    std::vector<v1::ServerFrame> seen;  // since the welcome
};

// People, a channel and a song; each house has a room and a show of its own.
const test::database& city() {
    static const auto made = [] {
        auto db = std::make_unique<test::database>();
        db->as_owner(
            "insert into identity.users (subject, display_name) select 'u' || n, 'User ' || n from generate_series(1, 40) n;"
            "insert into channels.channel (agent_id, name) values (1, 'c');"
            "insert into songs.song (content_hash, title, artist, duration_samples, source, lyrics) values ('h', 'Auld Lang Syne', 'trad.', 4800000, '', '{}')");
        return db;
    }();
    return *made;
}

class house {
public:
    house() : all_(1, city().app(), 2), chat_rate_(clock, limits::chat_per_user) {
        all_.start();
        room_facts facts;
        facts.shown.set_id(city().number("insert into rooms.room (channel_id, singer_id, name) values (1, 2, 'r') returning id"));
        show_id = city().number("insert into rooms.show (room_id) select max(id) from rooms.room returning id");
        facts.shown.set_singer_id(singer.value);
        facts.shown.set_singer_name("User 2");
        facts.shown.set_show_id(show_id);
        facts.channel = channel_id(1);
        facts.agent = agent;
        room_ = on_core([&] {
            return std::make_shared<rooms::room>(room_parts{all_.at(0), clock, &framed, routes_, journal, gifts_, bumps, supporters_, wallets_, shelf_, workers_, kept_, numbers_, words_, chat_rate_}, std::move(facts));
        });
    }
    ~house() {
        on_core([&] { room_->shut_down(); });
        until([&] { return all_.at(0).tasks.size() == 0; });
        all_.at(0).context.stop();
        all_.join();
    }
    template <class F>
    std::invoke_result_t<F> on_core(F body) {
        std::packaged_task<std::invoke_result_t<F>()> task(std::move(body));
        auto done = task.get_future();
        asio::post(all_.at(0).context, [&task] { task(); });
        if (done.wait_for(20s) != std::future_status::ready) std::abort();  // the task lives on this stack
        return done.get();
    }
    template <class F>
    bool until(F ask) {
        for (int i = 0; i < 2'000; ++i, std::this_thread::sleep_for(5ms))
            if (on_core(ask)) return true;
        return false;
    }
    template <class T>
    T wait(awaitable<T> body) {
        auto done = asio::co_spawn(all_.at(0).context, std::move(body), asio::use_future);
        if (done.wait_for(20s) != std::future_status::ready) throw std::runtime_error("the coroutine did not end in time");
        return done.get();
    }

    std::vector<user_id> earned() {
        on_core([] {});
        return on_core([&] { return gifts_.earned; });
    }

    result<seat> try_enter(user_id user, v1::Enter request = {}, std::int64_t buffer_ms = 0) {
        caller who;
        who.user = user;
        who.name = "User " + std::to_string(user.value);
        seat s{pipes_.emplace_back(std::make_shared<fake_pipe>()), nullptr, {}, {}};
        s.who = std::make_shared<member>(who, encoding::proto, *s.pipe, !request.no_media(), buffer_ms, request.low_rate());
        if (auto entered = wait(room_->enter(s.who, std::move(request), 1)); !entered) return entered.error();
        take(s);
        REQUIRE(s.seen.front().has_welcome());
        s.welcome = s.seen.front().welcome();
        s.seen.erase(s.seen.begin());
        return s;
    }
    seat enter(user_id user, v1::Enter request = {}, std::int64_t buffer_ms = 0) {
        auto s = try_enter(user, std::move(request), buffer_ms);
        REQUIRE(s.has_value());
        return std::move(*s);
    }
    static v1::Enter resume(const std::string& epoch, std::uint64_t offset, std::int64_t seq = 0) {
        v1::Enter e;
        e.mutable_resume()->set_epoch(epoch);
        e.mutable_resume()->set_offset(offset);
        e.mutable_resume()->set_entry_seq(seq);
        return e;
    }
    // Reads what came; frames that are cut stay.
    std::vector<v1::ServerFrame>& take(seat& s) {
        on_core([] {});  // a flush waits for the turn after
        auto bytes = on_core([&] { return std::exchange(s.pipe->came, {}); });
        std::size_t at = 0;
        std::uint32_t size = 0;
        while (at + sizeof size <= bytes.size()) {
            std::memcpy(&size, bytes.data() + at, sizeof size);
            if (at + sizeof size + size > bytes.size()) break;
            REQUIRE(s.seen.emplace_back().ParseFromArray(bytes.data() + at + sizeof size, static_cast<int>(size)));
            at += sizeof size + size;
        }
        on_core([&] { s.pipe->came.insert(0, bytes.substr(at)); });
        return s.seen;
    }
    v1::ServerFrame ask(seat& s, v1::ClientFrame command) {
        command.set_request_id(++requests_);
        const auto id = requests_;
        v1::Access anyone;
        anyone.add_roles(v1::ROLE_ANYONE);
        anyone.set_relation(v1::RELATION_ANY);
        on_core([&] { room_->handle(s.who, *access_gate::check_live(anyone, s.who->who, {true, true, true}), command); });
        for (int i = 0; i < 400; ++i, std::this_thread::sleep_for(5ms)) {
            for (const auto& f : take(s))
                if (f.request_id() == id) return f;
            if (command.has_media()) return {};  // answered only when refused
        }
        FAIL("no answer to " << command.ShortDebugString());
        return {};
    }
    v1::ServerFrame chat(seat& s, const std::string& text) {
        v1::ClientFrame f;
        f.mutable_send_chat()->set_text(text);
        return ask(s, f);
    }
    v1::ServerFrame control(seat& s, v1::ControlSong::Action action) {
        v1::ClientFrame f;
        f.mutable_control_song()->set_action(action);
        return ask(s, f);
    }
    v1::ServerFrame take_stage(seat& s) {
        v1::ClientFrame f;
        f.mutable_take_stage();
        return ask(s, f);
    }
    void sing(seat& s) {
        v1::ClientFrame pick;
        pick.mutable_pick_song()->set_song_id(1);
        REQUIRE(take_stage(s).has_done());
        REQUIRE(ask(s, pick).has_done());
        REQUIRE(control(s, v1::ControlSong::ACTION_PLAY).has_done());
    }
    v1::ServerFrame media(seat& s, std::int64_t time = 0) {
        v1::ClientFrame f;
        f.mutable_media()->add_voice("opus");
        f.mutable_media()->set_media_time(time);
        return ask(s, f);
    }
    // What becomes of a request; the answer's reason.
    std::string asks_song(seat& s, std::int64_t song = 1, const std::string& name = "") {
        v1::ClientFrame f;
        f.mutable_request_song()->set_song_id(song);
        f.mutable_request_song()->set_for_name(name);
        return reason(ask(s, f));
    }
    std::string bump(seat& s, std::int64_t id, std::int64_t price = 500) {
        v1::ClientFrame f;
        f.mutable_bump_request()->set_key(uuid::make_v7(clock.now_ms()).text());
        f.mutable_bump_request()->set_id(id);
        f.mutable_bump_request()->set_price_coins(price);
        return reason(ask(s, f));
    }
    std::string arrange(seat& s, v1::ArrangeQueue::Action action, std::int64_t id = 0) {
        v1::ClientFrame f;
        f.mutable_arrange_queue()->set_action(action);
        f.mutable_arrange_queue()->set_id(id);
        return reason(ask(s, f));
    }
    std::string cancel(seat& s, std::int64_t id) {
        v1::ClientFrame f;
        f.mutable_cancel_request()->set_id(id);
        return reason(ask(s, f));
    }
    std::string pick(seat& s, std::int64_t song, std::int64_t request) {
        v1::ClientFrame f;
        f.mutable_pick_song()->set_song_id(song);
        f.mutable_pick_song()->set_song_request_id(request);
        return reason(ask(s, f));
    }
    static std::string reason(const v1::ServerFrame& f) { return f.has_done() ? "done" : f.refused().detail().reason(); }
    void sell_bumps(std::int64_t price, std::int32_t per_show) {
        on_core([&] { room_->set_bumps(price, per_show); });
    }
    rooms::room& room() { return *room_; }
    // On the core: from within another command.
    void cancel_here(seat& s, std::int64_t id) {
        v1::ClientFrame f;
        f.mutable_cancel_request()->set_id(id);
        v1::Access anyone;
        anyone.add_roles(v1::ROLE_ANYONE);
        anyone.set_relation(v1::RELATION_ANY);
        room_->handle(s.who, *access_gate::check_live(anyone, s.who->who, {true, true, true}), f);
    }
    void end_show() { REQUIRE(wait(room_->end_show()).has_value()); }
    void restored_bumps(const std::string& queue, const std::vector<paid_bump>& paid) {
        on_core([&] {
            room_->restore_queue(queue);
            room_->restore_bumps(paid);
        });
    }
    // Ids, the bumped ones marked, as somebody who comes in sees them.
    std::string queue() {
        auto s = enter({});
        leave(s);
        std::string out;
        for (const auto& e : s.welcome.queue().entries()) out += std::to_string(e.id()) + (e.bumped() ? "! " : " ");
        return out + "left " + std::to_string(s.welcome.queue().bumps_left());
    }
    // What was asked of the counter so far, once it says `that`.
    bool told(const std::string& that) {
        return until([&] { return bumps.log == that; });
    }
    void show_here(const v1::GiftShown& g) { room_->show_gift(std::make_shared<v1::GiftShown>(g)); }
    void show(const v1::GiftShown& g) {
        on_core([&] { show_here(g); });
        on_core([] {});
        on_core([] {});  // what a handler posts may come behind what another thread posts meanwhile: once more
    }
    void restrain(user_id user, v1::Moderation::Kind kind, std::int64_t until_ms) {
        on_core([&] { room_->restrained(user, "User", "a reason", until_ms, kind); });
        on_core([] {});
        on_core([] {});
    }
    void restored(std::int64_t performance, std::int64_t position) {
        on_core([&] { room_->resume_show({performance_id(performance), 1, "title", "artist", true, position, 0}); });
    }
    v1::Room shown() {
        v1::Room out;
        on_core([&] { out = room_->snapshot(); });
        return out;
    }
    void tick() {
        on_core([&] { room_->tick(clock.steady_ms()); });
        on_core([] {});
    }
    void leave(seat& s) {
        on_core([&] { room_->leave(s.who); });
        on_core([] {});
    }
    void stall(seat& s) {
        take(s);
        on_core([&] { s.pipe->stalled = true; });
    }
    void flow(seat& s) {
        on_core([&] {
            s.pipe->stalled = false;
            if (s.pipe->ready) std::exchange(s.pipe->ready, {})();
        });
        take(s);
    }
    int closed(seat& s) {
        return on_core([&] { return s.pipe->code; });
    }
    // Where the stage stands, as somebody who comes in now sees it.
    v1::Stage stage() {
        auto s = enter({});
        leave(s);
        return s.welcome.stage();
    }
    v1::Room snapshot() {
        return on_core([&] { return room_->snapshot(); });
    }
    result<rooms::room::stage_answer> route() { return wait(room_->stage_route({})); }
    std::int64_t performances(const std::string& that) { return city().number("select count(*) from rooms.performance where show_id = " + std::to_string(show_id) + " and " + that); }
    template <class Ask>
    int count(const std::vector<v1::ServerFrame>& frames, Ask ask) {
        return static_cast<int>(std::ranges::count_if(frames, ask));
    }

    std::int64_t show_id = 0;
    virtual_clock_source clock{start_ms};
    fake_journal journal;
    fake_bumps bumps;
    metrics registry;

private:
    cores all_;
    fake_routes routes_;
    fake_gifts gifts_;
    fake_supporters supporters_;
    fake_wallets wallets_;
    worker_pool workers_{1, 16};
    songs::shelf shelf_{"/nowhere", workers_};
    rooms::recordings kept_{all_, shelf_, std::filesystem::temp_directory_path() / "ovation-rooms-test"};
    room_metrics numbers_{registry.make_counter("a", ""), registry.make_counter("dropped", ""), registry.make_counter("c", ""), registry.make_gauge("d", ""), registry.make_gauge("e", "")};
    std::vector<std::string> words_;
    rate_limiter<user_id> chat_rate_;
    std::shared_ptr<rooms::room> room_;
    std::vector<std::shared_ptr<fake_pipe>> pipes_;  // a member may outlive its seat here
    std::uint64_t requests_ = 100;
};

std::vector<std::int64_t> gifts_in(const std::vector<v1::ServerFrame>& frames) {
    std::vector<std::int64_t> out;
    for (const auto& f : frames)
        if (f.has_gift()) out.push_back(f.gift().entry_seq());
    return out;
}
std::vector<std::string> chats_in(const std::vector<v1::ServerFrame>& frames) {
    std::vector<std::string> out;
    for (const auto& f : frames)
        if (f.has_chat()) out.push_back(f.chat().text());
    return out;
}
std::vector<std::uint32_t> media_in(const std::vector<v1::ServerFrame>& frames) {
    std::vector<std::uint32_t> out;
    for (const auto& f : frames)
        if (f.has_media()) out.push_back(f.media().sequence());
    return out;
}
}  // namespace

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
