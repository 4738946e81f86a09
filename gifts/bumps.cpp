#include "gifts/bumps.hpp"

#include <spdlog/fmt/fmt.h>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/money.hpp"
#include "gifts/sql.hpp"
#include "ledger/routes.hpp"

namespace ovation::gifts {
namespace {
constexpr auto sweep_every = std::chrono::seconds(60);
constexpr auto writer_asked_every = std::chrono::milliseconds(200);
constexpr std::int64_t samples_per_ms = 48;

std::string reference(std::int64_t show, std::int64_t request) { return fmt::format("bump:{}:{}", show, request); }
std::string held_account(std::string_view key) { return fmt::format("held:bump_{}", key); }
bool is_done(ledger::status s) { return s == ledger::status::posted || s == ledger::status::replayed; }

fault bump_refusal(ledger::status s) {
    using ledger::status;
    switch (s) {
        case status::insufficient_coins: return precondition("insufficient_coins", "You do not have enough coins. Nothing was charged; top up and ask again.");
        case status::account_frozen: return precondition("account_frozen", "This wallet is frozen. Nothing was charged; ask support.");
        case status::spend_limit: return precondition("spend_limit", "This would pass your limit for today. Nothing was charged; the limit can be raised for tomorrow.");
        case status::unknown_account: return precondition("no_wallet", "This account has no wallet yet. Log in again.");
        default: return internal_fault("The bump could not be paid. Nothing was charged.");
    }
}
}  // namespace

// A key while its coins are being held: a twin is told to wait, and nobody sweeps it.
class bumps::under_way {
public:
    under_way(bumps& owner, std::string key) : owner_(owner), key_(std::move(key)) {
        std::scoped_lock lock(owner_.mutex_);
        first = owner_.keys_.insert(key_).second;
    }
    ~under_way() {
        std::scoped_lock lock(owner_.mutex_);
        if (first) owner_.keys_.erase(key_);
    }
    under_way(const under_way&) = delete;
    under_way& operator=(const under_way&) = delete;
    bool first = false;

private:
    bumps& owner_;
    std::string key_;
};

awaitable<result<bool>> bumps::hold(bump_order order, std::optional<fault> if_new) {
    const auto key = order.key.text();
    const under_way mine(*this, key);
    if (!mine.first) co_return exhausted("busy", "This bump is being paid. Ask again with the same key in a moment.", 200);
    OVATION_CO_TRY(auto known, co_await all_.db().query(sql::bump_by_key, pg::with(key)));
    if (!known.empty()) {
        const bool same = user_id(known.number(0, 0)) == order.user && room_id(known.number(0, 1)) == order.room && known.number(0, 2) == order.request && known.number(0, 3) == order.coins;
        if (!same) co_return precondition("key_reused", "This key belongs to another bump. Nothing was charged; ask with a new key.");
        const auto state = known.text(0, 4);
        const bool back = state == "released" || known.text(0, 5) == "release";
        if (back) co_return precondition("bump_released", "The coins of this bump have gone back to your wallet. To bump again, ask with a new key.");
        if (state == "held" || state == "captured") co_return true;
    }
    if (if_new) co_return *if_new;
    auto intended = co_await all_.db().query(sql::intend_bump, pg::with(key, order.user, order.room, order.show, order.request, order.coins));
    if (!intended && pg::sqlstate(intended.error()) == "23505") co_return precondition("already_bumped", "This request has been moved up already. Nothing was charged.");
    if (!intended) co_return intended.error();
    if (intended->empty()) co_return exhausted("busy", "This bump is being settled. Ask again with the same key in a moment.", 200);
    const auto price = order.coins * micros_per_coin;
    ledger::entry_command entry{"hold", "bump-hold:" + key, {{fmt::format("wallet:{}", order.user.value), -price}, {held_account(key), price}}, reference(order.show.value, order.request), "{}"};
    // Whatever fails from here on is told by the books: the sweep finds the hold, or finds none.
    OVATION_CO_TRY(const auto posted, co_await queue_.post(std::move(entry)));
    if (!is_done(posted.state)) {
        if (auto noted = co_await all_.db().query(sql::refuse_bump, pg::with(key)); !noted) log::warn("gifts", "bump_not_noted", "key={} err={}", key, log::quoted(noted.error().message));
        co_return bump_refusal(posted.state);
    }
    auto held = co_await all_.db().query(sql::hold_bump, pg::with(key, posted.seq.value));
    if (!held || held->empty()) co_return unavailable("unknown_outcome", "It is not known yet whether this was paid. Ask again with the same key in a minute.");
    co_return false;
}

awaitable<result<void>> bumps::sung_in(show_id show, std::int64_t request, performance_id performance, route_id route) {
    OVATION_CO_CHECK(co_await all_.db().query(sql::bump_sung_in, pg::with(show, request, performance, route)));
    co_return result<void>{};
}
awaitable<result<void>> bumps::capture(show_id show, std::int64_t request, route_id route) { return decide(show, request, "capture", route); }
awaitable<result<void>> bumps::release(show_id show, std::int64_t request) { return decide(show, request, "release", {}); }

awaitable<result<void>> bumps::decide(show_id show, std::int64_t request, std::string what, route_id route) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::decide_bump, pg::with(show, request, what, route)));
    if (r.empty()) co_return result<void>{};  // decided before
    co_return co_await close(std::move(r), 0);
}

// Columns: key, user, show, request, coins, decided, route.
awaitable<result<void>> bumps::close(pg::rows r, int i) {
    const auto key = r.string(i, 0);
    const auto price = r.number(i, 4) * micros_per_coin;
    const bool captured = r.text(i, 5) == "capture";
    ledger::entry_command entry{captured ? "capture" : "release", (captured ? "bump-capture:" : "bump-release:") + key, {{held_account(key), -price}}, reference(r.number(i, 2), r.number(i, 3)), "{}"};
    if (captured) {
        OVATION_CO_TRY(const auto terms, co_await ledger::read_route(all_.db(), route_id(r.number(i, 6))));
        for (auto& leg : ledger::credit_legs(price, terms)) entry.legs.push_back(std::move(leg));
        entry.detail_json = fmt::format(R"({{"route": {}}})", r.number(i, 6));
    } else {
        entry.legs.emplace_back(fmt::format("wallet:{}", r.number(i, 1)), price);
    }
    OVATION_CO_TRY(const auto posted, co_await queue_.post(std::move(entry)));
    if (!is_done(posted.state)) co_return internal_fault(fmt::format("the ledger refused to close the bump {}: status {}", key, static_cast<int>(posted.state)));
    OVATION_CO_CHECK(co_await all_.db().query(sql::close_bump, pg::with(key, posted.seq.value)));
    co_return result<void>{};
}

awaitable<result<std::vector<paid_bump>>> bumps::paid(show_id show) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::bumps_of_show, pg::with(show)));
    std::vector<paid_bump> out;
    for (int i = 0; i < r.size(); ++i) out.push_back({r.number(i, 0), user_id(r.number(i, 1)), performance_id(r.number(i, 2)), route_id(r.number(i, 3)), r.boolean(i, 4)});
    co_return out;
}

awaitable<result<void>> bumps::sweep() {
    // In this order: what was intended before this moment is either still under way here, or was cut short.
    OVATION_CO_TRY(auto moment, co_await home_.db.query(sql::bump_sweep_from, {}));
    std::vector<std::string> busy;
    {
        std::scoped_lock lock(mutex_);
        busy.assign(keys_.begin(), keys_.end());
    }
    pg::params p;
    p.add(moment.text(0, 0)).add_text_array(busy);
    OVATION_CO_TRY(auto found, co_await home_.db.query(sql::sweep_intended_bumps, std::move(p)));
    OVATION_CO_TRY(auto ended, co_await home_.db.query(sql::sweep_ended_bumps, pg::with(limits::bump_sung_ms * samples_per_ms)));
    if (found.size() + ended.size() > 0) log::info("gifts", "bumps_swept", "cut_short={} ended={}", found.size(), ended.size());
    OVATION_CO_TRY(auto decided, co_await home_.db.query(sql::decided_bumps, {}));
    for (int i = 0; i < decided.size() && !stopping_; ++i) {
        pg::params one;
        one.add(decided.text(i, 0));
        OVATION_CO_TRY(auto row, co_await home_.db.query(sql::decided_bump, std::move(one)));
        if (row.empty()) continue;  // closed meanwhile
        if (auto closed = co_await close(std::move(row), 0); !closed) log::warn("gifts", "bump_not_closed", "key={} err={}", decided.text(i, 0), log::quoted(closed.error().message));
    }
    co_return result<void>{};
}

awaitable<void> bumps::run() {
    while (!stopping_) {
        // Only the writer knows what the books have.
        const bool writer = queue_.is_writer();
        if (writer)
            if (auto swept = co_await sweep(); !swept) log::warn("gifts", "bumps_not_swept", "err={}", log::quoted(swept.error().message));
        if (stopping_) break;
        wake_.expires_after(writer ? std::chrono::milliseconds(sweep_every) : writer_asked_every);
        co_await wake_.async_wait(use_tuple);
    }
}
void bumps::stop() {
    stopping_ = true;
    asio::post(home_.context, [this] { wake_.cancel(); });
}

}  // namespace ovation::gifts
