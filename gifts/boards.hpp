// Leaderboards: one projection of the journal, its cursor in the same transaction as what it counted, so each gift counts
// exactly once whatever crashes when. Day buckets in PostgreSQL; longer periods from sorted sets in Redis (standings.hpp),
// refilled at any time; without Redis, or while it is filled, PostgreSQL sums the days. Order: coins, then the lower sequence at which they were reached, then the id.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>

#include "base/cores.hpp"
#include "base/metrics.hpp"
#include "gifts/standings.hpp"
#include "ledger/command.hpp"
#include "ovation/v1/gift.pb.h"

namespace ovation::gifts {

class boards final : public ledger::commit_observer {
public:
    // `redis`: where it is, see base/redis.hpp; empty: none.
    boards(core& home, std::string time_zone, std::string redis, metrics& registry);
    // The projector; ends when stop() was called.
    awaitable<void> run();
    void stop();
    // From the ledger's thread: there is something to count.
    void on_commit(std::vector<ledger::committed_gift>& gifts, entry_seq head) override;
    awaitable<void> on_follow(pg::connection& db, entry_seq head) override;

    awaitable<result<v1::GetBoardResponse>> get(pg::pool& db, v1::GetBoardRequest request, user_id asker);
    [[nodiscard]] entry_seq cursor() const { return entry_seq(cursor_.load()); }

private:
    awaitable<result<std::int64_t>> project();
    awaitable<void> refill();
    awaitable<result<std::optional<standings::page>>> ask_redis(std::string board, std::int64_t limit, user_id asker);
    core& home_;
    std::string time_zone_;
    redis::client redis_;
    standings standings_;
    bool filled_ = false;  // the sorted sets stand at our cursor
    bool told_ = false;    // that Redis is away
    asio::steady_timer wake_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> pending_{true};
    std::atomic<std::int64_t> cursor_{0};
    gauge& cursor_gauge_;
    counter& refills_;
    counter& from_redis_;
};

// Counts everything again from the journal and empties the sorted sets. Returns the number of buckets.
awaitable<result<std::int64_t>> rebuild_boards(pg::pool& db, std::string time_zone, std::string redis);

}  // namespace ovation::gifts
