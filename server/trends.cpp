#include "server/trends.hpp"

namespace ovation {

void trends::start() {
    timer_.expires_after(std::chrono::milliseconds(step_ms));
    timer_.async_wait([this](error_code failed) {
        if (failed) return;
        sample();
        start();
    });
}

void trends::sample() {
    const auto gifts = gifts_.value();
    const auto commits = commits_.now();
    v1::TrendPoint p;
    p.set_at_ms(clock_.now_ms());
    p.set_gifts_per_minute(static_cast<std::int32_t>((gifts - gifts_before_) * 60'000 / step_ms));
    p.set_commit_p50_us(static_cast<std::int32_t>(histogram::quantile(commits_before_, commits, 0.5) * 1e6));
    p.set_commit_p99_us(static_cast<std::int32_t>(histogram::quantile(commits_before_, commits, 0.99) * 1e6));
    p.set_listeners(static_cast<std::int32_t>(members_.value()));
    p.set_live_rooms(static_cast<std::int32_t>(live_.value()));
    gifts_before_ = gifts;
    commits_before_ = commits;
    std::scoped_lock lock(mutex_);
    points_.push_back(std::move(p));
    if (points_.size() > points_max) points_.pop_front();
}

void trends::read(v1::GetLiveTotalsResponse& to) const {
    std::scoped_lock lock(mutex_);
    for (const auto& p : points_) *to.add_trend() = p;
}

}  // namespace ovation
