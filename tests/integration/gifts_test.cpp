// Gifts as their service sells them: keys at the edges of their time, spend limits that rise a day later, boards.
#include "tests/support/catch.hpp"
#include <boost/asio/use_future.hpp>
#include <future>
#include <random>

#include "base/money.hpp"
#include "gifts/service.hpp"
#include "identity/access_gate.hpp"
#include "ledger/audit.hpp"
#include "ledger/routes.hpp"
#include "ledger/service.hpp"
#include "tests/support/database.hpp"

namespace gifts_test {
using namespace ovation;
using namespace ovation::gifts;
using namespace std::chrono_literals;

namespace {
const user_id singer(1), second_singer(2), anna(3), bert(4), carl(5);
constexpr gift_id glow(11), lantern(1), rose(2), starfall(9);
const char* const zone = "Asia/Shanghai";
constexpr std::int64_t hour_ms = 3600 * 1000, day_ms = 24 * hour_ms;

struct one_stage final : route_source {
    awaitable<result<stage_route>> route_of(room_id room, user_id) override {
        if (room.value > 2) co_return not_found("This room");
        while (held) {
            asio::steady_timer t(co_await asio::this_coro::executor, 5ms);
            co_await t.async_wait(asio::use_awaitable);
        }
        co_return stage_route{route[static_cast<std::size_t>(room.value - 1)], room.value == 1 ? singer : second_singer, {}, {}};
    }
    awaitable<result<stage_route>> route_of_recording(std::int64_t, user_id) override { co_return not_found("This recording"); }
    std::array<route_id, 2> route;
    std::atomic<bool> held = false;
};
struct no_display final : gift_display {
    void show(room_id, std::shared_ptr<const v1::GiftShown> gift, reach) override {
        if (gift->entry_seq() == 0) free.push_back(*gift);
    }
    std::vector<v1::GiftShown> free;
};

granted as(user_id user, std::int64_t deadline_ms = 0) {
    v1::Access anyone;
    anyone.add_roles(v1::ROLE_ANYONE);
    anyone.set_relation(v1::RELATION_ANY);
    caller who;
    who.user = user;
    who.deadline_ms = deadline_ms;
    return *access_gate::check_live(anyone, who, {false, false, false});
}

class shop {
public:
    // With leaves of so many rows, twenty of them; 0: as they are.
    explicit shop(int leaf_rows = 0)
        : clock(system_clock_source().now_ms()),
          queue({db.app(), "test", zone, 20'000, 4'000}, clock, registry),
          all(1, db.app(), 4),
          announcer_(clock, display_),
          ranking(all.at(0), zone, "", registry),
          service_({all, queue, clock, stage_, ranking, display_, zone, 1000}),
          books_(all, queue, zone) {
        db.as_owner("insert into identity.users (subject, display_name, show_on_boards) select 'u' || n, 'User ' || n, true from generate_series(1, 9) n");
        if (leaf_rows > 0) {
            db.as_owner("do $$ declare l record; begin for l in select name from ledger.gift_leaf loop execute format('drop table ledger.%I', l.name); end loop; delete from ledger.gift_leaf; end $$");
            for (int i = 0; i < 20; ++i) db.as_owner("select ledger.make_leaf(" + std::to_string(leaf_rows) + ")");
        }
        queue.observe(announcer_);
        queue.observe(ranking);
        all.start();
        queue.start();
        for (int i = 0; i < 500 && !queue.is_writer(); ++i) std::this_thread::sleep_for(10ms);
        ledger::split_question q;
        q.contract = ledger::policy{"contract", 1, "", 1000};
        for (int i = 0; i < 2; ++i) stage_.route[static_cast<std::size_t>(i)] = must(ledger::intern_route(all.at(0).db, *ledger::resolve(q), {i == 0 ? singer : second_singer, user_id(9), channel_id(1)}));
        must(service_.load());
        for (const auto u : {anna, bert, carl}) {
            must(ledger::open_wallet(all.at(0).db, u));
            const auto amount = 1'000'000 * micros_per_coin;
            must(queue.post(ledger::entry_command{"topup", "topup:" + std::to_string(u.value), {{"cash:sandbox", -amount}, {"wallet:" + std::to_string(u.value), amount}}, "", "{}"}));
        }
        asio::post(all.at(0).context, [this] { all.at(0).tasks.spawn("boards", ranking.run()); });
    }
    ~shop() {
        ranking.stop();
        queue.stop(5s);
        wait([](task_group& g) -> awaitable<bool> { co_return co_await g.wait(10s); }(all.at(0).tasks));
        all.at(0).context.stop();
        all.join();
    }
    template <class T>
    T wait(awaitable<T> body) {
        auto done = asio::co_spawn(all.at(0).context, std::move(body), asio::use_future);
        if (done.wait_for(60s) != std::future_status::ready) throw std::runtime_error("the coroutine did not end in time");
        return done.get();
    }
    template <class T>
    T must(awaitable<result<T>> body) {
        auto r = wait(std::move(body));
        if (!r) throw std::runtime_error(r.error().message);
        if constexpr (!std::is_void_v<T>) return std::move(*r);
    }
    [[nodiscard]] uuid key(std::int64_t after_ms = 0) const { return uuid::make_v7(clock.now_ms() + after_ms); }
    static v1::SendGiftRequest request(gift_id gift, int quantity, uuid with, std::int64_t room = 1, int version = 1) {
        v1::SendGiftRequest r;
        r.set_key(with.text());
        r.set_room_id(room);
        r.set_gift_id(gift.value);
        r.set_quantity(quantity);
        r.set_price_version(version);
        return r;
    }
    result<v1::SendGiftResponse> send(user_id who, gift_id gift, int quantity, uuid with, std::int64_t room = 1) { return wait(service_.send(as(who), request(gift, quantity, with, room))); }
    result<v1::SendGiftResponse> send(user_id who, const v1::SendGiftRequest& r, std::int64_t deadline_ms = 0) { return wait(service_.send(as(who, deadline_ms), r)); }
    std::future<result<v1::SendGiftResponse>> begin(user_id who, const v1::SendGiftRequest& r) { return asio::co_spawn(all.at(0).context, service_.send(as(who), r), asio::use_future); }
    v1::GiftSendState state(user_id who, uuid key) {
        v1::GetGiftSendRequest r;
        r.set_key(key.text());
        return must(service_.get_send(as(who), r)).state();
    }
    void hold_routes(bool held) { stage_.held = held; }
    void reload() { must(service_.load()); }
    result<v1::SendGiftResponse> send(user_id who, gift_id gift, int quantity) { return send(who, gift, quantity, key()); }
    std::string reason(const result<v1::SendGiftResponse>& r) { return r ? (r->replayed() ? "replayed" : "posted") : r.error().reason; }
    void listened(user_id who) {
        wait([](gifts::service& s, user_id u) -> awaitable<bool> {
            co_await s.watched(u);
            co_return true;
        }(service_, who));
    }
    int free_left(user_id who) { return must(service_.list(as(who), {})).free_left(); }
    const std::vector<v1::GiftShown>& shown_free() { return display_.free; }
    v1::GetWalletResponse limit(user_id who, std::int64_t coins) {
        v1::SetDailyLimitRequest r;
        r.set_daily_limit_coins(coins);
        return must(books_.set_daily_limit(as(who), r));
    }
    v1::GetWalletResponse wallet(user_id who) { return must(books_.wallet_of(who)); }
    // As if the raise had been asked for earlier.
    void raise_holds_in(const std::string& interval) { db.as_owner("update ledger.wallet set raised_from = now() + interval '" + interval + "' where raised_from is not null"); }

    v1::GetBoardResponse board(v1::BoardScope scope, std::int64_t id, v1::BoardSubject subject, user_id asker = {}, v1::BoardPeriod period = v1::BOARD_PERIOD_DAY) {
        const auto head = db.number("select seq from ledger.head");
        for (int i = 0; i < 1'000 && ranking.cursor().value < head; ++i) std::this_thread::sleep_for(10ms);
        v1::GetBoardRequest r;
        r.set_scope(scope);
        r.set_scope_id(id);
        r.set_subject(subject);
        r.set_period(period);
        return must(ranking.get(all.at(0).db, r, asker));
    }
    using places = std::vector<std::pair<std::int64_t, std::int64_t>>;
    // The same in all periods: everything is of today.
    places order(v1::BoardScope scope, std::int64_t id, v1::BoardSubject subject) {
        std::vector<places> out;
        for (const auto period : {v1::BOARD_PERIOD_DAY, v1::BOARD_PERIOD_WEEK, v1::BOARD_PERIOD_MONTH, v1::BOARD_PERIOD_ALL}) {
            out.emplace_back();
            const auto b = board(scope, id, subject, {}, period);
            for (int i = 0; i < b.rows_size(); ++i) {
                CHECK(b.rows(i).rank() == i + 1);
                out.back().emplace_back(b.rows(i).subject_id(), b.rows(i).coins());
            }
            CHECK(out.back() == out.front());
        }
        return out.front();
    }
    std::string buckets() { return test::execute(db.owner(), "select string_agg(b::text, ' ' order by scope, scope_id, subject, day, subject_id) from gifts.board_bucket b"); }
    void verify_clean() {
        const auto checks = must([](pg::pool& p) -> awaitable<result<std::vector<ledger::check>>> {
            auto lease = co_await p.acquire();
            if (!lease) co_return lease.error();
            co_return co_await ledger::verify(**lease);
        }(all.at(0).db));
        for (const auto& c : checks) {
            INFO(c.name << ": " << c.detail << " " << c.count);
            CHECK(c.ok);
        }
    }

    test::database db;
    virtual_clock_source clock;
    metrics registry;
    ledger::posting_queue queue;
    cores all;

private:
    no_display display_;
    one_stage stage_;
    announcer announcer_;

public:
    boards ranking;

private:
    service service_;
    ledger::service books_;
};
}  // namespace

TEST_CASE("gifts: a new key lies within −7 days and +1 hour of the server's clock, to the millisecond") {
    shop s;
    CHECK(s.reason(s.send(anna, glow, 1, s.key(-7 * day_ms))) == "posted");
    CHECK(s.reason(s.send(anna, glow, 1, s.key(-7 * day_ms - 1))) == "key_expired");
    CHECK(s.reason(s.send(anna, glow, 1, s.key(hour_ms))) == "posted");
    CHECK(s.reason(s.send(anna, glow, 1, s.key(hour_ms + 1))) == "key_expired");
    CHECK(s.wallet(anna).coins() == 999'998);
    s.verify_clean();
}

TEST_CASE("gifts: whoever asks for a key is told that it is on its way, paid, or unknown; never unknown and then paid") {
    shop s;
    const auto key = s.key();
    CHECK(s.state(anna, key) == v1::GIFT_SEND_STATE_NOT_FOUND);
    s.hold_routes(true);
    auto sending = s.begin(anna, shop::request(glow, 1, key));
    for (int i = 0; i < 500 && s.state(anna, key) == v1::GIFT_SEND_STATE_NOT_FOUND; ++i) std::this_thread::sleep_for(2ms);
    CHECK(s.state(anna, key) == v1::GIFT_SEND_STATE_IN_FLIGHT);
    s.hold_routes(false);
    REQUIRE(sending.get());
    CHECK(s.state(anna, key) == v1::GIFT_SEND_STATE_DONE);
    CHECK(s.state(bert, key) == v1::GIFT_SEND_STATE_NOT_FOUND);
    const auto refused = s.key();
    CHECK(s.reason(s.send(anna, glow, 1, refused, 7)) == "not_found");
    CHECK(s.state(anna, refused) == v1::GIFT_SEND_STATE_NOT_FOUND);
}

TEST_CASE("gifts: after its time a gift is not paid any more, but a paid one is still answered") {
    shop s;
    const auto now = s.clock.steady_ms();
    const auto key = s.key();
    CHECK(s.reason(s.send(anna, shop::request(glow, 1, key), now)) == "deadline_exceeded");
    CHECK(s.wallet(anna).coins() == 1'000'000);
    const auto paid = s.send(anna, shop::request(glow, 1, key), now + 60'000);
    REQUIRE(paid);
    const auto again = s.send(anna, shop::request(glow, 1, key), now);
    REQUIRE(again);
    CHECK((again->replayed() && again->entry_seq() == paid->entry_seq()));
    CHECK(s.wallet(anna).coins() == 999'999);
    s.verify_clean();
}

TEST_CASE("gifts: a new price comes into force at its time; the old one is refused, but a known key is answered") {
    shop s;
    const auto known = s.key();
    const auto first = s.send(anna, glow, 1, known);
    REQUIRE(first);
    s.db.as_owner("insert into gifts.gift_version (gift_id, version, price_coins, valid_from) values (11, 2, 2, now() + interval '1 hour')");
    s.reload();
    CHECK(s.reason(s.send(anna, glow, 1)) == "posted");
    CHECK(s.reason(s.send(anna, shop::request(glow, 1, s.key(), 1, 2))) == "invalid_argument");
    s.db.as_owner("set session_replication_role = replica; update gifts.gift_version set valid_from = now() where version = 2");
    s.reload();
    CHECK(s.reason(s.send(anna, glow, 1)) == "price_changed");
    CHECK(s.reason(s.send(anna, glow, 1, known)) == "replayed");
    CHECK(s.reason(s.send(anna, shop::request(glow, 1, s.key(), 1, 2))) == "posted");
    CHECK(s.wallet(anna).coins() == 1'000'000 - 1 - 1 - 2);
    s.verify_clean();
}

TEST_CASE("gifts: an expired key that is known is answered with its first result") {
    shop s;
    const auto oldest = s.key(-7 * day_ms);
    const auto first = s.send(anna, glow, 10, oldest);
    REQUIRE(first);
    s.clock.advance(1);
    const auto again = s.send(anna, glow, 10, oldest);
    REQUIRE(again);
    CHECK(again->replayed());
    CHECK(again->entry_seq() == first->entry_seq());
    s.clock.advance(30 * day_ms);
    CHECK(s.send(anna, glow, 10, oldest).value().entry_seq() == first->entry_seq());
    CHECK(s.reason(s.send(anna, glow, 1, oldest)) == "key_reused");
    CHECK(s.reason(s.send(bert, glow, 10, oldest)) == "key_reused");
    CHECK(s.reason(s.send(anna, glow, 10, oldest, 2)) == "key_reused");
    CHECK(s.reason(s.send(anna, glow, 10, oldest, 7)) == "key_reused");

    const auto ahead = s.key(hour_ms);
    const auto paid = s.send(bert, glow, 1, ahead);
    REQUIRE(paid);
    s.clock.advance(-1);  // a server whose clock was set back
    CHECK(s.send(bert, glow, 1, ahead).value().entry_seq() == paid->entry_seq());
    CHECK(s.wallet(anna).coins() == 999'990);
    CHECK(s.wallet(bert).coins() == 999'999);
}

TEST_CASE("gifts: a key is known for ever, however many leaves were made since") {
    shop s(5);
    const auto now = s.key();
    const auto past = s.key(-7 * day_ms);
    const auto future = s.key(hour_ms);
    std::vector<std::int64_t> seqs;
    for (const auto& k : {now, past, future}) seqs.push_back(s.send(anna, glow, 1, k).value().entry_seq());
    for (int i = 0; i < 52; ++i) REQUIRE(s.reason(s.send(bert, glow, 1)) == "posted");
    CHECK(s.db.number("select count(*) from ledger.gift_leaf where closed_at is not null") >= 11);
    CHECK(s.db.number("select count(distinct tableoid) from ledger.gift") >= 10);
    std::size_t i = 0;
    for (const auto& k : {now, past, future}) {
        const auto again = s.send(anna, glow, 1, k);
        REQUIRE(again);
        CHECK(again->replayed());
        CHECK(again->entry_seq() == seqs[i++]);
        CHECK(s.reason(s.send(anna, lantern, 1, k)) == "key_reused");
    }
    CHECK(s.wallet(anna).coins() == 999'997);
    // Long after: the leaf was closed a month ago, the keys are a month old.
    s.clock.advance(30 * day_ms);
    CHECK(s.send(anna, glow, 1, past).value().entry_seq() == seqs[1]);
    CHECK(s.wallet(anna).coins() == 999'997);
}

TEST_CASE("gifts: a key of the last allowed minute is known although the database's clock is behind and its leaf is full") {
    shop s(4);  // the three top-ups, and one
    s.clock.advance(5'000);
    const auto edge = s.key(hour_ms);
    const auto first = s.send(anna, glow, 1, edge);
    REQUIRE(first);
    REQUIRE(s.db.number("select count(*) from ledger.gift_leaf where closed_at is not null") == 1);
    const auto again = s.send(anna, glow, 1, edge);
    REQUIRE(again);
    CHECK(again->replayed());
    CHECK(again->entry_seq() == first->entry_seq());
    CHECK(s.wallet(anna).coins() == 999'999);
}

TEST_CASE("gifts: a raised daily limit holds after 24 hours, a lowered one at once") {
    shop s;
    const std::int64_t usual = 200'000;
    auto w = s.limit(anna, usual + 131'400);
    CHECK(w.daily_limit_coins() == usual);
    CHECK(w.raised_limit_coins() == usual + 131'400);
    const auto told_ms = w.raised_limit_from_ms() - system_clock_source().now_ms();
    CHECK(told_ms > day_ms - 60'000);
    CHECK(told_ms <= day_ms);

    REQUIRE(s.reason(s.send(anna, starfall, 10)) == "posted");  // 131 400
    CHECK(s.reason(s.send(anna, starfall, 10)) == "spend_limit");
    s.raise_holds_in("1 minute");
    CHECK(s.reason(s.send(anna, starfall, 10)) == "spend_limit");
    s.raise_holds_in("-1 millisecond");
    CHECK(s.wallet(anna).daily_limit_coins() == usual + 131'400);
    CHECK(s.wallet(anna).raised_limit_coins() == 0);
    CHECK(s.reason(s.send(anna, starfall, 10)) == "posted");
    CHECK(s.wallet(anna).spent_today_coins() == 262'800);

    w = s.limit(anna, 262'801);
    CHECK(w.daily_limit_coins() == 262'801);
    CHECK(s.reason(s.send(anna, glow, 1)) == "posted");
    CHECK(s.reason(s.send(anna, glow, 1)) == "spend_limit");
    // Raised again above the one that holds: that one stays meanwhile.
    w = s.limit(anna, 400'000);
    CHECK(w.daily_limit_coins() == 262'801);
    CHECK(w.raised_limit_coins() == 400'000);
    s.raise_holds_in("1 hour");
    w = s.limit(anna, 500'000);
    CHECK(w.raised_limit_from_ms() - system_clock_source().now_ms() > day_ms - 60'000);  // a new raise waits anew
    w = s.limit(anna, 0);
    CHECK(w.daily_limit_coins() == 0);
    CHECK(w.raised_limit_coins() == 0);
    s.raise_holds_in("-1 hour");
    CHECK(s.reason(s.send(anna, glow, 1)) == "spend_limit");
    s.verify_clean();
}

TEST_CASE("gifts: a raise that holds is not lost when a further raise is asked for") {
    shop s;
    s.limit(anna, 300'000);
    s.raise_holds_in("-1 second");
    const auto w = s.limit(anna, 900'000);
    CHECK(w.daily_limit_coins() == 300'000);
    CHECK(w.raised_limit_coins() == 900'000);
    for (int i = 0; i < 2; ++i) CHECK(s.reason(s.send(anna, starfall, 10)) == "posted");  // 262 800
    CHECK(s.reason(s.send(anna, starfall, 10)) == "spend_limit");
}

TEST_CASE("boards: of equal scores the one reached first stands first, in both orders") {
    shop s;
    using v1::BOARD_SCOPE_CHANNEL, v1::BOARD_SCOPE_ROOM, v1::BOARD_SCOPE_SITE, v1::BOARD_SUBJECT_SENDER, v1::BOARD_SUBJECT_SINGER;
    REQUIRE(s.send(anna, rose, 1));
    REQUIRE(s.send(bert, rose, 1));
    for (const auto [scope, id] : {std::pair(BOARD_SCOPE_SITE, 0), std::pair(BOARD_SCOPE_CHANNEL, 1), std::pair(BOARD_SCOPE_ROOM, 1)})
        CHECK(s.order(scope, id, BOARD_SUBJECT_SENDER) == shop::places{{anna.value, 100}, {bert.value, 100}});
    REQUIRE(s.send(bert, rose, 1));
    REQUIRE(s.send(anna, rose, 1));
    CHECK(s.order(BOARD_SCOPE_SITE, 0, BOARD_SUBJECT_SENDER) == shop::places{{bert.value, 200}, {anna.value, 200}});
    // Carl gets there last, in one send; then Anna passes all.
    REQUIRE(s.send(carl, lantern, 10));
    CHECK(s.order(BOARD_SCOPE_SITE, 0, BOARD_SUBJECT_SENDER) == shop::places{{bert.value, 200}, {anna.value, 200}, {carl.value, 200}});
    REQUIRE(s.send(anna, glow, 1));
    CHECK(s.order(BOARD_SCOPE_SITE, 0, BOARD_SUBJECT_SENDER) == shop::places{{anna.value, 201}, {bert.value, 200}, {carl.value, 200}});

    CHECK(s.order(BOARD_SCOPE_SITE, 0, BOARD_SUBJECT_SINGER) == shop::places{{singer.value, 601}});
    REQUIRE(s.send(carl, glow, 1, s.key(), 2));
    for (const int quantity : {520, 66, 10, 1, 1, 1, 1}) REQUIRE(s.send(carl, glow, quantity, s.key(), 2));
    CHECK(s.order(BOARD_SCOPE_SITE, 0, BOARD_SUBJECT_SINGER) == shop::places{{singer.value, 601}, {second_singer.value, 601}});
    REQUIRE(s.send(carl, glow, 1, s.key(), 2));
    REQUIRE(s.send(carl, glow, 1, s.key(), 1));
    CHECK(s.order(BOARD_SCOPE_SITE, 0, BOARD_SUBJECT_SINGER) == shop::places{{second_singer.value, 602}, {singer.value, 602}});
}

TEST_CASE("boards: without consent a supporter's place is shown, and nothing else but to themselves") {
    shop s;
    s.db.as_owner("update identity.users set show_on_boards = false where id = 4");
    REQUIRE(s.send(bert, rose, 10));
    REQUIRE(s.send(anna, rose, 1));
    const auto others = s.board(v1::BOARD_SCOPE_SITE, 0, v1::BOARD_SUBJECT_SENDER, anna);
    REQUIRE(others.rows_size() == 2);
    CHECK(others.rows(0).hidden());
    CHECK((others.rows(0).subject_id() == 0 && others.rows(0).coins() == 0 && others.rows(0).name().empty()));
    CHECK(others.you().rank() == 2);
    const auto own = s.board(v1::BOARD_SCOPE_SITE, 0, v1::BOARD_SUBJECT_SENDER, bert);
    CHECK((own.rows(0).you() && own.rows(0).coins() == 1'000));
}

TEST_CASE("boards: counted again they are what they were, and go on") {
    shop s;
    std::mt19937 dice(20261121);
    const std::array people{anna, bert, carl};
    const std::array some{1, 10, 66};
    for (int i = 0; i < 300; ++i)
        REQUIRE(s.send(people[dice() % 3], glow, some[dice() % 3], s.key(), 1 + static_cast<std::int64_t>(dice() % 2)));
    s.board(v1::BOARD_SCOPE_SITE, 0, v1::BOARD_SUBJECT_SENDER);
    const auto live = s.buckets();
    CHECK(live.size() > 100);
    // Also when the live ones were wrong.
    s.db.as_owner("update gifts.board_bucket set coins = coins + 1, reached = 0 where subject_id = 3");
    CHECK(s.buckets() != live);
    CHECK(s.must(rebuild_boards(s.all.at(0).db, zone, "")) == s.db.number("select count(*) from gifts.board_bucket"));
    CHECK(s.buckets() == live);
    const auto before = s.db.number("select sum(coins) from gifts.board_bucket where scope = 1 and subject = 1");
    REQUIRE(s.send(anna, rose, 1));
    s.board(v1::BOARD_SCOPE_SITE, 0, v1::BOARD_SUBJECT_SENDER);
    for (int i = 0; i < 200 && s.db.number("select seq from gifts.board_cursor") < s.db.number("select seq from ledger.head"); ++i) std::this_thread::sleep_for(20ms);
    CHECK(s.db.number("select sum(coins) from gifts.board_bucket where scope = 1 and subject = 1") == before + 100);
    CHECK(s.db.number("select sum(price) / 10000 from ledger.gift") == before + 100);
}

TEST_CASE("gifts: a free one is earned by listening, at most ten a day, never an entry, shown once") {
    shop s;
    s.db.as_owner("insert into channels.channel (agent_id, name) values (9, 'c'); insert into rooms.room (channel_id, singer_id, name) values (1, 1, 'r')");
    constexpr gift_id applause(12);
    const auto head = s.db.number("select seq from ledger.head");
    CHECK(s.reason(s.send(anna, applause, 1)) == "no_free_gift");
    s.listened(anna);
    s.listened(anna);  // at the same moment from another page
    CHECK(s.free_left(anna) == 1);
    const auto key = s.key();
    const auto first = s.send(anna, applause, 1, key);
    CHECK(s.reason(first) == "posted");
    CHECK(first->entry_seq() == 0);
    CHECK(s.reason(s.send(anna, applause, 1, key)) == "replayed");
    CHECK(s.reason(s.send(bert, applause, 1, key)) == "key_reused");
    CHECK(s.reason(s.send(anna, applause, 1)) == "no_free_gift");
    CHECK(s.reason(s.send(anna, applause, 10)) == "invalid_argument");
    for (int i = 0; i < 15; ++i) {
        s.db.as_owner("update gifts.free_gift set earned_at = now() - interval '10 minutes'");
        s.listened(anna);
    }
    CHECK(s.free_left(anna) == 9);
    for (int i = 0; i < 9; ++i) CHECK(s.reason(s.send(anna, applause, 1)) == "posted");
    CHECK(s.reason(s.send(anna, applause, 1)) == "no_free_gift");
    CHECK(s.shown_free().size() == 10);
    CHECK(s.db.number("select seq from ledger.head") == head);
    CHECK(s.board(v1::BOARD_SCOPE_ROOM, 1, v1::BOARD_SUBJECT_SENDER).rows_size() == 0);
}
}  // namespace gifts_test
