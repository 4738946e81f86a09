#include "payments/steps.hpp"

#include <spdlog/fmt/fmt.h>

#include "base/log.hpp"
#include "payments/sql.hpp"

namespace ovation::payments {
namespace {
constexpr int tries_max = 8;                                      // of a case whose parties spend meanwhile
constexpr auto ask_again = std::chrono::milliseconds(25);
constexpr int asks_max = 400;                                     // 10 s
}  // namespace

awaitable<result<void>> steps::settle(std::string subject, std::int64_t id) { return ask(home_, at_home(std::move(subject), id)); }

awaitable<result<void>> steps::at_home(std::string subject, std::int64_t id) {
    const auto name = std::pair(subject, id);
    asio::steady_timer pause(home_.context);
    for (int i = 0; busy_.contains(name) || !queue_.is_writer(); ++i) {
        OVATION_CO_TRY(auto left, co_await home_.db.query(sql::next_step, pg::with(subject, id)));
        if (left.empty()) co_return result<void>{};
        if (i == asks_max) co_return unavailable("unknown_outcome", "This is written down and will be booked as soon as the books can be reached. Look again in a minute.");
        pause.expires_after(ask_again);
        co_await pause.async_wait(use_tuple);
    }
    busy_.insert(name);
    auto out = result<void>{};
    for (auto more = result<bool>(true); more && *more;) {
        more = co_await post_next(subject, id);
        if (!more) out = more.error();
    }
    busy_.erase(name);
    co_return out;
}

awaitable<result<bool>> steps::post_next(std::string subject, std::int64_t id) {
    for (int i = 0; i < tries_max; ++i) {
        OVATION_CO_TRY(auto r, co_await home_.db.query(sql::next_step, pg::with(subject, id)));
        if (r.empty()) co_return false;
        const auto step = r.number(0, 0);
        ledger::entry_command entry{r.string(0, 1), r.string(0, 2), {}, r.string(0, 3), r.string(0, 4)};
        for (int k = 0; k < r.size(); ++k)
            if (!r.null(k, 6)) entry.legs.emplace_back(r.string(k, 6), r.number(k, 7));
        const auto key = entry.key;
        auto answer = co_await queue_.post(std::move(entry));
        if (answer && (answer->state == ledger::status::posted || answer->state == ledger::status::replayed)) {
            OVATION_CO_CHECK(co_await home_.db.query(sql::step_posted, pg::with(step, answer->seq)));
            co_return true;
        }
        // What PostgreSQL did not take (a month was closed meanwhile) is counted anew like what the balances did not allow.
        const bool dry = answer && answer->state == ledger::status::insufficient_coins;
        const bool not_taken = !answer && answer.error().kind == code::internal && subject != "payout" && i + 1 < tries_max;
        if (!dry && !not_taken) co_return answer ? internal_fault(fmt::format("the ledger refused {}: status {}", key, static_cast<int>(answer->state))) : answer.error();
        if (subject == "payout") {
            OVATION_CO_CHECK(co_await home_.db.query(sql::forget_payout, pg::with(id)));
            co_return precondition("insufficient_earnings", "Your earnings have become less meanwhile. Nothing was taken; look at the statement and ask again.");
        }
        OVATION_CO_CHECK(co_await home_.db.query(subject == "bonus" ? sql::count_bonus : sql::count_step, pg::with(step)));
    }
    co_return unavailable("busy", "The wallets of this case do not stand still. It is booked as soon as they do.");
}

awaitable<result<std::int64_t>> steps::sweep() {
    std::int64_t left = 0;
    OVATION_CO_TRY(auto open, co_await home_.db.query(sql::unposted_steps, {}));
    for (int i = 0; i < open.size(); ++i) {
        if (busy_.contains({open.string(i, 0), open.number(i, 1)})) continue;
        if (auto done = co_await at_home(open.string(i, 0), open.number(i, 1)); !done) {
            ++left;
            log::warn("payments", "step_not_posted", "subject={}:{} err={}", open.text(i, 0), open.number(i, 1), log::quoted(done.error().in_full()));
        }
    }
    co_return left;
}

}  // namespace ovation::payments
