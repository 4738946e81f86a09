// One room on a core of its own, with a clock that the test turns, sockets that stall on demand and a real database.
#pragma once
#include <boost/asio/use_future.hpp>
#include <future>

#include "base/limits.hpp"
#include "identity/access_gate.hpp"
#include "rooms/room.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/database.hpp"

namespace ovation::test_room {
using namespace ovation::rooms;
using namespace std::chrono_literals;

inline constexpr std::int64_t start_ms = 1'700'000'000'000;
inline const user_id agent(1), singer(2), listener(3);

// A length and the payload, so that a test can take them apart again.
inline std::string framed(encoding, std::string_view payload) {
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
    std::uint64_t changes() override { return 0; }
};
struct fake_journal final : journal_view {
    awaitable<result<missed_gifts>> gifts_since(room_id, entry_seq after, int limit) override {
        if (while_reading) {
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
            std::exchange(while_reading, {})();
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        }
        missed_gifts out;
        for (const auto& g : books)
            if (g.entry_seq() > after.value && std::ssize(out.gifts) < limit) out.gifts.push_back(g);
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

inline v1::GiftShown gift(std::int64_t seq, std::size_t name_bytes = 4) {
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
inline const test::database& city() {
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
    house() : all_(1, city().app(), 2), chat_rate_(clock, limits::chat_per_user), request_rate_(clock, limits::song_requests_per_user) {
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
            return std::make_shared<rooms::room>(room_parts{all_.at(0), clock, &framed, routes_, journal, gifts_, bumps, supporters_, wallets_, shelf_, workers_, kept_, numbers_, words_, chat_rate_, request_rate_}, std::move(facts));
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
    rate_limiter<user_id> chat_rate_, request_rate_;
    std::shared_ptr<rooms::room> room_;
    std::vector<std::shared_ptr<fake_pipe>> pipes_;  // a member may outlive its seat here
    std::uint64_t requests_ = 100;
};

inline std::vector<std::int64_t> gifts_in(const std::vector<v1::ServerFrame>& frames) {
    std::vector<std::int64_t> out;
    for (const auto& f : frames)
        if (f.has_gift()) out.push_back(f.gift().entry_seq());
    return out;
}
inline std::vector<std::string> chats_in(const std::vector<v1::ServerFrame>& frames) {
    std::vector<std::string> out;
    for (const auto& f : frames)
        if (f.has_chat()) out.push_back(f.chat().text());
    return out;
}
inline std::vector<std::uint32_t> media_in(const std::vector<v1::ServerFrame>& frames) {
    std::vector<std::uint32_t> out;
    for (const auto& f : frames)
        if (f.has_media()) out.push_back(f.media().sequence());
    return out;
}
}  // namespace ovation::test_room
