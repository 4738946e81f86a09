// Bumps in the books: holds that are spends, closings that happen once, and what a crash cuts short at every step.
#include "tests/support/catch.hpp"
#include <boost/asio/use_future.hpp>
#include <future>
#include <random>

#include "base/money.hpp"
#include "gifts/bumps.hpp"
#include "ledger/audit.hpp"
#include "ledger/routes.hpp"
#include "ledger/service.hpp"
#include "tests/support/database.hpp"

namespace bumps_test {
using namespace ovation;
using namespace ovation::gifts;
using namespace std::chrono_literals;

namespace {
const user_id singer(1), agent(2), anna(3), bert(4);
const room_id room(1);
const show_id show(1);
const char* const zone = "Asia/Shanghai";

class till {
public:
    till() : queue({db.app(), "test", zone, 20'000, 4'000}, clock, registry), all(1, db.app(), 4), bumps_(all, all.at(0), queue), books_(all, queue, zone) {
        db.as_owner(
            "insert into identity.users (subject, display_name) select 'u' || n, 'User ' || n from generate_series(1, 9) n;"
            "insert into channels.channel (agent_id, name) values (2, 'c'); insert into rooms.room (channel_id, singer_id, name) values (1, 1, 'r'); insert into rooms.show (room_id) values (1);"
            "insert into songs.song (content_hash, title, artist, duration_samples, source, lyrics) values ('h', 't', 'a', 4800000, '', '{}')");
        all.start();
        queue.start();
        for (int i = 0; i < 500 && !queue.is_writer(); ++i) std::this_thread::sleep_for(10ms);
        ledger::split_question q;
        q.licensed_song = true;
        q.contract = ledger::policy{"contract", 1, "", 1234};
        rule = *ledger::resolve(q);
        route = must(ledger::intern_route(all.at(0).db, rule, {singer, agent, channel_id(1)}));
        for (const auto u : {anna, bert}) {
            must(ledger::open_wallet(all.at(0).db, u));
            const auto amount = 300'000 * micros_per_coin;
            must(queue.post(ledger::entry_command{"topup", "topup:" + std::to_string(u.value), {{"cash:sandbox", -amount}, {"wallet:" + std::to_string(u.value), amount}}, "", "{}"}));
        }
    }
    ~till() {
        queue.stop(5s);
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
    [[nodiscard]] uuid key() const { return uuid::make_v7(clock.now_ms()); }
    // The writer takes the head anew, with an empty memory.
    void forget() {
        const auto epoch = queue.epoch();
        db.as_owner("update ledger.head set writer_epoch = writer_epoch + 1");
        for (int i = 0; i < 1'000 && queue.epoch() <= epoch; ++i) std::this_thread::sleep_for(10ms);
    }
    std::string hold(uuid k, std::int64_t request, std::int64_t coins = 500, user_id who = anna, std::optional<fault> if_new = {}) {
        auto r = wait(bumps_.hold({k, who, room, show, request, coins}, std::move(if_new)));
        return !r ? r.error().reason : *r ? "known" : "held";
    }
    void capture(std::int64_t request) { must(bumps_.capture(show, request, route)); }
    void release(std::int64_t request) { must(bumps_.release(show, request)); }
    void sung_in(std::int64_t request, std::int64_t performance) { must(bumps_.sung_in(show, request, performance_id(performance), route)); }
    void sweep() { must(bumps_.sweep()); }
    std::vector<paid_bump> paid() { return must(bumps_.paid(show)); }
    ledger::outcome post(ledger::entry_command e) { return must(queue.post(std::move(e))); }
    v1::GetWalletResponse wallet(user_id who = anna) { return must(books_.wallet_of(who)); }
    [[nodiscard]] std::string states() const { return test::execute(db.owner(), "select coalesce(string_agg(request_id || ':' || state, ' ' order by request_id, at), '') from gifts.bump"); }
    [[nodiscard]] std::int64_t amount(const std::string& account) const { return db.number("select coalesce((select b.amount from ledger.standing b join ledger.account a on a.id = b.account_id where a.name = '" + account + "'), 0)"); }
    [[nodiscard]] std::int64_t held() const { return db.number("select coalesce(sum(b.amount), 0) from ledger.standing b join ledger.account a on a.id = b.account_id where a.kind = 'held'"); }
    [[nodiscard]] std::int64_t entries(const std::string& kind) const { return db.number("select count(*) from ledger.entry where kind = '" + kind + "'"); }
    // Checks that fail, by name.
    std::string verified() {
        const auto checks = must([](pg::pool& p) -> awaitable<result<std::vector<ledger::check>>> {
            auto lease = co_await p.acquire();
            if (!lease) co_return lease.error();
            co_return co_await ledger::verify(**lease);
        }(all.at(0).db));
        std::string out;
        for (const auto& c : checks)
            if (!c.ok) out += c.name + " ";
        return out;
    }

    test::database db;
    system_clock_source clock;
    metrics registry;
    ledger::posting_queue queue;
    cores all;
    ledger::split_rule rule;
    route_id route;

private:
    gifts::bumps bumps_;
    ledger::service books_;
};
}  // namespace

TEST_CASE("bumps: a hold, its replay, and other content under its key") {
    till t;
    const auto k = t.key();
    CHECK(t.hold(k, 5) == "held");
    CHECK(t.wallet().coins() == 299'500);
    CHECK(t.wallet().spent_today_coins() == 500);
    CHECK(t.amount("held:bump_" + k.text()) == 500 * micros_per_coin);
    CHECK(t.hold(k, 5) == "known");
    CHECK(t.hold(k, 5, 500, anna, precondition("price_changed", "")) == "known");
    CHECK(t.hold(k, 6) == "key_reused");
    CHECK(t.hold(k, 5, 501) == "key_reused");
    CHECK(t.hold(k, 5, 500, bert) == "key_reused");
    CHECK(t.hold(t.key(), 5) == "already_bumped");
    const auto fresh = t.key();
    CHECK(t.hold(fresh, 6, 500, anna, precondition("price_changed", "")) == "price_changed");
    CHECK(t.states() == "5:held");
    CHECK(t.entries("hold") == 1);
    CHECK(t.verified().empty());
}

TEST_CASE("bumps: a capture splits by the route to the micro, and leaves nothing held") {
    till t;
    std::mt19937 dice(20261121);
    ledger::split_legs sum;
    std::int64_t total = 0;
    for (int i = 1; i <= 40; ++i) {
        const std::int64_t coins = i == 1 ? 1 : 1 + static_cast<std::int64_t>(dice() % 3'000);
        REQUIRE(t.hold(t.key(), i, coins) == "held");
        t.capture(i);
        const auto legs = ledger::split(coins * micros_per_coin, 0, t.rule);
        sum.vat += legs.vat;
        sum.rights += legs.rights;
        sum.singer += legs.singer;
        sum.agent += legs.agent;
        sum.platform += legs.platform;
        total += coins;
    }
    CHECK(t.amount("vat") == sum.vat);
    CHECK(t.amount("earnings:rights") == sum.rights);
    CHECK(t.amount("earnings:1") == sum.singer);
    CHECK(t.amount("earnings:2") == sum.agent);
    CHECK(t.amount("platform") == sum.platform);
    CHECK(sum.vat + sum.rights + sum.singer + sum.agent + sum.platform == total * micros_per_coin);
    CHECK(t.held() == 0);
    CHECK(t.wallet().coins() == 300'000 - total);
    CHECK(t.wallet().spent_today_coins() == total);
    CHECK(t.verified().empty());
}

TEST_CASE("bumps: closed once, whoever asks how often for what") {
    till t;
    const auto a = t.key(), b = t.key();
    REQUIRE(t.hold(a, 1) == "held");
    REQUIRE(t.hold(b, 2) == "held");
    t.capture(1);
    t.release(1);
    t.capture(1);
    t.release(2);
    t.capture(2);
    t.release(2);
    t.release(77);
    CHECK(t.states() == "1:captured 2:released");
    CHECK(t.entries("capture") == 1);
    CHECK(t.entries("release") == 1);
    CHECK(t.wallet().coins() == 299'500);
    CHECK(t.wallet().spent_today_coins() == 500);
    CHECK(t.hold(a, 1) == "known");
    CHECK(t.hold(b, 2) == "bump_released");
    CHECK(t.hold(t.key(), 2) == "held");  // the place is free again
    CHECK(t.paid().size() == 2);
    CHECK(t.verified().empty());
}

TEST_CASE("bumps: a wallet that is dry, frozen or at its limit holds nothing, in this order, and a refusal is not an outcome") {
    till t;
    const auto k = t.key();
    t.db.as_owner("update ledger.wallet set daily_limit = 1000 * 10000::bigint where user_id = 3");
    CHECK(t.hold(k, 1, 1'001) == "spend_limit");
    t.db.as_owner("update ledger.wallet set frozen = true where user_id = 3");
    CHECK(t.hold(k, 1, 1'001) == "account_frozen");
    t.post({"adjustment", "take", {{"wallet:3", -299'000 * micros_per_coin}, {"platform", 299'000 * micros_per_coin}}, "", "{}"});
    CHECK(t.hold(k, 1, 1'001) == "insufficient_coins");
    CHECK(t.hold(t.key(), 1, 500, user_id(9)) == "no_wallet");
    CHECK(t.states() == "1:refused 1:refused");
    CHECK(t.db.number("select count(*) from ledger.account where kind = 'held'") == 0);
    t.db.as_owner("update ledger.wallet set frozen = false where user_id = 3");
    CHECK(t.hold(k, 1, 1'001) == "insufficient_coins");
    CHECK(t.hold(t.key(), 1, 1'000) == "held");
    CHECK(t.wallet().spent_today_coins() == 1'000);
    t.release(1);
    CHECK(t.wallet().spent_today_coins() == 0);
    CHECK(t.hold(t.key(), 1, 1'000) == "held");
    CHECK(t.verified().empty());
}

TEST_CASE("bumps: a release gives back to the day on which it was held") {
    till t;
    REQUIRE(t.hold(t.key(), 1, 700) == "held");
    // As if it had been held yesterday; the tree, once it is kept, has it as it was.
    for (int i = 0; i < 1'000 && t.db.number("select count(*) from ledger.head h, ledger.tree_state t where h.checkpoint_seq = h.seq and t.seq = h.seq") == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    t.db.as_owner("alter table ledger.entry disable trigger entry_is_final; update ledger.entry set detail = jsonb_build_object('day', (detail->>'day')::date - 1) where kind = 'hold';"
                  "alter table ledger.entry enable trigger entry_is_final; update ledger.balance set spent_day = spent_day - 1 where spent_day > 0");
    t.forget();
    REQUIRE(t.hold(t.key(), 2, 100) == "held");
    t.release(1);
    CHECK(t.wallet().spent_today_coins() == 100);
    CHECK(t.db.number("select sum(spent) from ledger.spent") == 100 * micros_per_coin);
    CHECK(t.verified() == "tree ");
}

TEST_CASE("bumps: cut short at every step, the sweep finishes it in one way") {
    till t;
    const auto k = [&] { return t.key().text(); };
    const auto intend = [&](const std::string& key, int request) {
        t.db.as_owner("insert into gifts.bump (key, user_id, room_id, show_id, request_id, coins) values ('" + key + "', 3, 1, 1, " + std::to_string(request) + ", 500)");
    };
    const auto post = [&](const std::string& kind, const std::string& key, int request, std::vector<std::pair<std::string, std::int64_t>> legs, const std::string& detail = "{}") {
        return t.post({kind, "bump-" + kind + ":" + key, std::move(legs), "bump:1:" + std::to_string(request), detail}).seq.value;
    };
    constexpr auto price = 500 * micros_per_coin;
    const auto hold = [&](const std::string& key, int request) { return post("hold", key, request, {{"wallet:3", -price}, {"held:bump_" + key, price}}); };
    // 1: before the hold. 2: after it. 3: the release was decided. 4: posted, and not noted. 5: the capture was decided. 6: posted.
    std::vector<std::string> keys;
    for (int i = 1; i <= 6; ++i) {
        keys.push_back(k());
        intend(keys.back(), i);
        if (i == 1) continue;
        const auto seq = hold(keys.back(), i);
        if (i > 2) t.db.as_owner("update gifts.bump set state = 'held', route = " + std::to_string(t.route.value) + ", decided = '" + (i < 5 ? "release" : "capture") + "', hold_seq = " + std::to_string(seq) + " where key = '" + keys.back() + "'");
    }
    post("release", keys[3], 4, {{"held:bump_" + keys[3], -price}, {"wallet:3", price}});
    std::vector<std::pair<std::string, std::int64_t>> legs{{"held:bump_" + keys[5], -price}};
    for (auto& leg : ledger::credit_legs(price, t.must(ledger::read_route(t.all.at(0).db, t.route)))) legs.push_back(leg);
    post("capture", keys[5], 6, legs, R"({"route": )" + std::to_string(t.route.value) + "}");
    t.db.as_owner("update gifts.bump set at = at - interval '3 minutes' where request_id <> 1");
    t.sweep();
    CHECK(t.states() == "1:intended 2:released 3:released 4:released 5:captured 6:captured");  // the first may be on its way from another server
    t.db.as_owner("update gifts.bump set at = at - interval '3 minutes' where request_id = 1");
    t.sweep();
    CHECK(t.states() == "1:refused 2:released 3:released 4:released 5:captured 6:captured");
    CHECK(t.held() == 0);
    CHECK(t.wallet().coins() == 299'000);
    const auto head = t.db.number("select seq from ledger.head");
    t.sweep();
    CHECK(t.db.number("select seq from ledger.head") == head);
    CHECK(t.hold(*uuid::parse(keys[0]), 1) == "held");
    CHECK(t.hold(*uuid::parse(keys[1]), 2) == "bump_released");
    CHECK(t.verified().empty());
}

TEST_CASE("bumps: what waits or is sung when its show or performance has ended long ago is decided by how far the song went") {
    till t;
    const auto perform = [&](std::int64_t position, const std::string& ended) {
        return t.db.number("insert into rooms.performance (show_id, singer_id, song_id, song_position, ended_at) values (1, 1, 1, " + std::to_string(position) + ", " + ended + ") returning id");
    };
    for (int i = 1; i <= 5; ++i) REQUIRE(t.hold(t.key(), i) == "held");
    t.sung_in(1, perform(30'000 * 48, "now() - interval '61 seconds'"));
    t.sung_in(2, perform(30'000 * 48 - 1, "now() - interval '61 seconds'"));
    t.sung_in(3, perform(30'000 * 48, "now()"));
    t.sung_in(4, perform(90'000 * 48, "null"));
    t.sweep();
    CHECK(t.states() == "1:captured 2:released 3:held 4:held 5:held");
    t.db.as_owner("update rooms.show set ended_at = now() - interval '61 seconds'");
    t.sweep();
    CHECK(t.states() == "1:captured 2:released 3:held 4:held 5:released");
    CHECK(t.verified().empty());
}

TEST_CASE("bumps: twins of a key at once hold once") {
    till t;
    const auto k = t.key();
    std::vector<std::future<std::string>> all;
    for (int i = 0; i < 20; ++i) all.push_back(std::async(std::launch::async, [&] { return t.hold(k, 1); }));
    std::map<std::string, int> seen;
    for (auto& f : all) ++seen[f.get()];
    CHECK(seen["held"] == 1);
    CHECK(seen["held"] + seen["known"] + seen["busy"] == 20);
    CHECK(t.entries("hold") == 1);
    CHECK(t.wallet().coins() == 299'500);
}

TEST_CASE("bumps: verify sees a capture that is split wrongly, a hold that is closed in part, and spending that is not counted") {
    constexpr auto price = 500 * micros_per_coin;
    {
        till t;
        const auto k = t.key();
        REQUIRE(t.hold(k, 1) == "held");
        t.post({"capture", "x", {{"held:bump_" + k.text(), -price}, {"platform", price}}, "", R"({"route": )" + std::to_string(t.route.value) + "}"});
        CHECK(t.verified() == "captures ");
    }
    {
        till t;
        const auto k = t.key();
        REQUIRE(t.hold(k, 1) == "held");
        t.post({"release", "x", {{"held:bump_" + k.text(), -price / 2}, {"wallet:3", price / 2}}, "", "{}"});
        CHECK(t.verified() == "holds ");
    }
    till t;
    REQUIRE(t.hold(t.key(), 1) == "held");
    t.db.as_owner("update ledger.balance set spent = spent - 1 where spent > 0");
    CHECK(t.verified() == "spend ");
}
}  // namespace bumps_test
