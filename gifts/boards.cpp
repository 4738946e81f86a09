#include "gifts/boards.hpp"

#include "base/log.hpp"
#include "gifts/sql.hpp"

namespace ovation::gifts {
namespace {
constexpr std::int64_t chunk = 20'000;

awaitable<result<std::int64_t>> project_once(pg::pool& db, std::string time_zone) {
    OVATION_CO_TRY(auto r, co_await db.query(sql::project, pg::with(time_zone, chunk), std::chrono::minutes(1)));
    co_return r.empty() ? 0 : r.number(0, 0);
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

boards::boards(core& home, std::string time_zone, metrics& registry)
    : home_(home), time_zone_(std::move(time_zone)), wake_(home.context), cursor_gauge_(registry.make_gauge("ovation_boards_cursor", "Newest ledger sequence that the boards have counted.")) {}

void boards::on_commit(std::vector<ledger::committed_gift>&, entry_seq) {
    if (!pending_.exchange(true)) asio::post(home_.context, [this] { wake_.cancel(); });
}
void boards::stop() {
    stopping_ = true;
    asio::post(home_.context, [this] { wake_.cancel(); });
}

awaitable<void> boards::run() {
    while (!stopping_) {
        pending_ = false;
        auto moved = co_await project_once(home_.db, time_zone_);
        if (!moved) {
            log::warn("gifts", "boards_behind", "err={}", log::quoted(moved.error().message));
            pending_ = true;
        } else if (*moved > 0) {
            cursor_ = *moved;
            cursor_gauge_.set(*moved);
        }
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
    OVATION_CO_TRY(auto r, co_await db.query(sql::board, pg::with(static_cast<int>(request.scope()), scope_id, static_cast<int>(request.subject()), period, time_zone_, limit, asker)));
    v1::GetBoardResponse out;
    for (int i = 0; i < r.size(); ++i) {
        v1::BoardRow row;
        row.set_rank(static_cast<int>(r.number(i, 0)));
        row.set_you(r.number(i, 1) == asker.value && asker);
        // Profile `consent`: a supporter is shown by name and amount only when they said so; singers are on stage.
        const bool open = request.subject() == v1::BOARD_SUBJECT_SINGER || r.boolean(i, 4);
        row.set_hidden(!open);
        if (open || row.you()) {
            row.set_subject_id(r.number(i, 1));
            row.set_name(r.string(i, 2));
            row.set_coins(r.number(i, 3));
        }
        if (row.you()) *out.mutable_you() = row;
        if (row.rank() <= limit) *out.add_rows() = std::move(row);
    }
    out.set_as_of_seq(cursor_);
    co_return out;
}

awaitable<result<std::int64_t>> rebuild_boards(pg::pool& db, std::string time_zone) {
    // One transaction over all of it: readers see the old boards or the new ones.
    auto held = co_await db.acquire();
    if (!held) co_return held.error();
    OVATION_CO_CHECK(co_await held->begin());
    OVATION_CO_CHECK(co_await (*held)->query(sql::forget_boards, {}, std::chrono::minutes(10)));
    while (true) {
        OVATION_CO_TRY(auto moved, co_await (*held)->query(sql::project, pg::with(time_zone, chunk), std::chrono::minutes(10)));
        if (moved.empty() || moved.number(0, 0) == 0) break;
    }
    OVATION_CO_TRY(auto count, co_await (*held)->query(sql::count_buckets, {}, std::chrono::minutes(1)));
    OVATION_CO_CHECK(co_await held->commit());
    co_return count.number(0, 0);
}

}  // namespace ovation::gifts
