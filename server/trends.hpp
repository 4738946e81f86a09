// The last hour at a glance, for the operations page: a point each ten seconds, in memory; it begins anew with the server.
#pragma once
#include <deque>
#include <mutex>

#include "base/asio.hpp"
#include "base/clock.hpp"
#include "base/metrics.hpp"
#include "ovation/v1/ops.pb.h"

namespace ovation {

class trends {
public:
    static constexpr std::int64_t step_ms = 10'000;
    static constexpr std::size_t points_max = 360;

    trends(asio::io_context& context, const clock_source& clock, metrics& registry)
        : clock_(clock),
          timer_(context),
          gifts_(registry.make_counter("ovation_ledger_gifts_total", "Gifts posted.")),
          commits_(registry.make_histogram("ovation_ledger_commit_seconds", "One group commit, send to COMMIT.")),
          members_(registry.make_gauge("ovation_room_listeners", "Sockets in rooms.")),
          live_(registry.make_gauge("ovation_rooms_live", "Rooms with an open show.")),
          commits_before_(commits_.now()) {}
    // Samples each step_ms for as long as the context runs.
    void start();
    void sample();
    // From any thread.
    void read(v1::GetLiveTotalsResponse& to) const;

private:
    const clock_source& clock_;
    asio::steady_timer timer_;
    counter& gifts_;
    histogram& commits_;
    gauge& members_;
    gauge& live_;
    std::uint64_t gifts_before_ = 0;
    histogram::counts commits_before_;
    mutable std::mutex mutex_;
    std::deque<v1::TrendPoint> points_;
};

}  // namespace ovation
