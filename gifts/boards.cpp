#include "gifts/boards.hpp"

#include <spdlog/fmt/fmt.h>

#include <unordered_map>

#include "base/log.hpp"
#include "gifts/sql.hpp"

namespace ovation::gifts {
namespace {
constexpr std::int64_t chunk = 20'000;

std::string board_name(std::int64_t scope, std::int64_t scope_id, std::int64_t subject, std::string_view period) {
    return fmt::format("{}:{}:{}:{}", scope, scope_id, subject, period);
}

// First day of the period in the tenant's zone; SQL's date_trunc names.
const char* trunc_of(v1::BoardPeriod p) {
    switch (p) {
        case v1::BOARD_PERIOD_DAY: return "day";
        case v1::BOARD_PERIOD_WEEK: return "week";
        case v1::BOARD_PERIOD_MONTH: return "month";
        case v1::BOARD_PERIOD_ALL: return "all";
        default: return nullptr;
    }
}
}  // namespace

boards::boards(core& home, std::string time_zone, std::string redis, metrics& registry)
    : home_(home), time_zone_(std::move(time_zone)), redis_(home.context, std::move(redis)), standings_(redis_), wake_(home.context),
      cursor_gauge_(registry.make_gauge("ovation_boards_cursor", "Newest ledger sequence that the boards have counted.")),
      refills_(registry.make_counter("ovation_boards_refills_total", "Times the sorted sets in Redis were filled again from PostgreSQL.")),
      from_redis_(registry.make_counter("ovation_boards_redis_reads_total", "Boards answered from Redis.")) {}

void boards::on_commit(std::vector<ledger::committed_gift>&, entry_seq) {
    if (!pending_.exchange(true)) asio::post(home_.context, [this] { wake_.cancel(); });
}
awaitable<void> boards::on_follow(pg::connection&, entry_seq head) {
    std::vector<ledger::committed_gift> none;
    if (head.value > cursor_) on_commit(none, head);
    co_return;
}
void boards::stop() {
    stopping_ = true;
    asio::post(home_.context, [this] { wake_.cancel(); });
}

// One step of the projection; the sequence it reached, 0 when there was nothing.
awaitable<result<std::int64_t>> boards::project() {
    OVATION_CO_TRY(auto r, co_await home_.db.query(sql::project, pg::with(time_zone_, chunk), std::chrono::minutes(1)));
    if (r.empty()) co_return 0;
    if (!standings_.configured()) co_return r.number(0, 1);
    std::vector<standing> rows;
    for (int i = 0; i < r.size() && !r.null(i, 3); ++i)
        for (const auto& period : {"w" + r.string(i, 9), "m" + r.string(i, 10), std::string("a")})
            rows.push_back({board_name(r.number(i, 3), r.number(i, 4), r.number(i, 5), period), r.number(i, 6), r.number(i, 7), r.number(i, 8)});
    const auto added = co_await standings_.apply(r.string(0, 2), r.number(0, 0), r.number(0, 1), std::move(rows));
    filled_ = added && *added;
    co_return r.number(0, 1);
}

awaitable<void> boards::refill() {
    auto r = co_await home_.db.query(sql::board_periods, pg::with(time_zone_), std::chrono::minutes(5));
    if (!r || r->empty()) co_return;
    std::vector<standing> rows;
    for (int i = 0; i < r->size() && !r->null(i, 2); ++i)
        rows.push_back({board_name(r->number(i, 2), r->number(i, 3), r->number(i, 4), r->text(i, 6)), r->number(i, 5), r->number(i, 7), r->number(i, 8)});
    const auto count = rows.size();
    if (const auto done = co_await standings_.refill(r->string(0, 1), r->number(0, 0), std::move(rows)); !done) {
        if (!std::exchange(told_, true)) log::warn("gifts", "boards_not_in_redis", "err={} answered_by=postgresql", log::quoted(done.error().message));
        co_return;
    }
    filled_ = true;
    told_ = false;
    refills_.add();
    log::info("gifts", "boards_refilled", "cursor={} rows={}", r->number(0, 0), count);
}

awaitable<void> boards::run() {
    while (!stopping_) {
        pending_ = false;
        auto moved = co_await project();
        if (!moved) {
            log::warn("gifts", "boards_behind", "err={}", log::quoted(moved.error().message));
            pending_ = true;
        } else if (*moved > 0) {
            cursor_ = *moved;
            cursor_gauge_.set(*moved);
        }
        if (standings_.configured() && !filled_ && moved && !stopping_) co_await refill();
        // Once in 200 ms at most: a board is for reading, and gifts come first.
        wake_.expires_after(std::chrono::milliseconds(moved && *moved > 0 ? 200 : 1000));
        if (!stopping_ && (!pending_ || !moved)) co_await wake_.async_wait(use_tuple);
        if (pending_ && !stopping_) {
            wake_.expires_after(std::chrono::milliseconds(200));
            co_await wake_.async_wait(use_tuple);
        }
    }
}

awaitable<result<v1::GetBoardResponse>> boards::get(pg::pool& db, v1::GetBoardRequest request, user_id asker) {
    const auto limit = request.limit() == 0 ? 10 : request.limit();
    if (limit < 1 || limit > 100) co_return invalid("limit", "1 to 100 rows.");
    if (request.scope() < v1::BOARD_SCOPE_SITE || request.scope() > v1::BOARD_SCOPE_ROOM) co_return invalid("scope", "site, channel or room.");
    if (request.subject() < v1::BOARD_SUBJECT_SENDER || request.subject() > v1::BOARD_SUBJECT_SINGER) co_return invalid("subject", "sender or singer.");
    const char* period = trunc_of(request.period());
    if (!period) co_return invalid("period", "day, week, month or all.");
    const auto scope_id = request.scope() == v1::BOARD_SCOPE_SITE ? 0 : request.scope_id();
    v1::GetBoardResponse out;
    const auto put = [&](std::int64_t rank, std::int64_t id, std::string name, std::int64_t coins, bool shown) {
        v1::BoardRow row;
        row.set_rank(static_cast<int>(rank));
        row.set_you(id == asker.value && asker);
        // Profile `consent`: a supporter is shown by name and amount only when they said so; singers are on stage.
        const bool open = request.subject() == v1::BOARD_SUBJECT_SINGER || shown;
        row.set_hidden(!open);
        if (open || row.you()) {
            row.set_subject_id(id);
            row.set_name(std::move(name));
            row.set_coins(coins);
        }
        if (row.you()) *out.mutable_you() = row;
        if (rank <= limit) *out.add_rows() = std::move(row);
    };
    if (request.period() != v1::BOARD_PERIOD_DAY && standings_.configured()) {
        OVATION_CO_TRY(auto open_period, co_await db.query(sql::board_period, pg::with(period, time_zone_)));
        auto page = co_await ask(home_, ask_redis(board_name(request.scope(), scope_id, request.subject(), open_period.text(0, 0)), limit, asker));
        if (page && *page) {
            auto& found = **page;
            if (found.asker && found.asker->rank > limit) found.rows.push_back(*found.asker);
            std::string ids = "{";
            for (const auto& s : found.rows) ids += (ids.size() > 1 ? "," : "") + std::to_string(s.subject);
            OVATION_CO_TRY(auto names, co_await db.query(sql::board_names, pg::params().add_raw(ids + "}")));
            std::unordered_map<std::int64_t, int> at;
            for (int i = 0; i < names.size(); ++i) at.emplace(names.number(i, 0), i);
            for (const auto& s : found.rows)
                if (const auto who = at.find(s.subject); who != at.end()) put(s.rank, s.subject, names.string(who->second, 1), s.coins, names.boolean(who->second, 2));
            out.set_as_of_seq(found.cursor);
            co_return out;
        }
    }
    out.set_as_of_seq(cursor_);
    OVATION_CO_TRY(auto r, co_await db.query(sql::board, pg::with(static_cast<int>(request.scope()), scope_id, static_cast<int>(request.subject()), period, time_zone_, limit, asker)));
    for (int i = 0; i < r.size(); ++i) put(r.number(i, 0), r.number(i, 1), r.string(i, 2), r.number(i, 3), r.boolean(i, 4));
    co_return out;
}

awaitable<result<std::optional<standings::page>>> boards::ask_redis(std::string board, std::int64_t limit, user_id asker) {
    if (!filled_) co_return std::optional<standings::page>{};
    auto page = co_await standings_.top(std::move(board), limit, asker);
    if (!page || !*page) filled_ = false;  // filled again at the next step
    else from_redis_.add();
    co_return page;
}

awaitable<result<std::int64_t>> rebuild_boards(pg::pool& db, std::string time_zone, std::string redis) {
    // One transaction over all of it: readers see the old boards or the new ones.
    auto held = co_await db.acquire();
    if (!held) co_return held.error();
    OVATION_CO_CHECK(co_await held->begin());
    OVATION_CO_CHECK(co_await (*held)->query(sql::forget_boards, {}, std::chrono::minutes(10)));
    while (true) {
        OVATION_CO_TRY(auto moved, co_await (*held)->query(sql::project, pg::with(time_zone, chunk), std::chrono::minutes(10)));
        if (moved.empty()) break;
    }
    OVATION_CO_TRY(auto count, co_await (*held)->query(sql::count_buckets, {}, std::chrono::minutes(1)));
    OVATION_CO_CHECK(co_await held->commit());
    redis::client store(db.context(), std::move(redis));
    if (store.configured()) {
        standings sets(store);
        OVATION_CO_CHECK(co_await sets.forget());
    }
    co_return count.number(0, 0);
}

}  // namespace ovation::gifts
