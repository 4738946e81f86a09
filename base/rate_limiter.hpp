// Token buckets by key. Shared by all cores behind one lock, held for a hash look-up; idle buckets are swept.
#pragma once
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "base/clock.hpp"

namespace ovation {

struct rate {
    double per_second;
    double burst;
    // A load test's profile.
    [[nodiscard]] constexpr rate times(double factor) const { return {per_second * factor, burst * factor}; }
};

// One bucket, for an owner that is on one thread.
class token_bucket {
public:
    explicit token_bucket(rate r) : rate_(r), tokens_(r.burst) {}
    // 0 when taken, else the milliseconds until `amount` will be there.
    std::int64_t take(std::int64_t now_ms, double amount = 1) {
        if (last_ms_ == 0) last_ms_ = now_ms;
        tokens_ += static_cast<double>(now_ms - last_ms_) / 1000.0 * rate_.per_second;
        if (tokens_ > rate_.burst) tokens_ = rate_.burst;
        last_ms_ = now_ms;
        if (tokens_ >= amount) {
            tokens_ -= amount;
            return 0;
        }
        return static_cast<std::int64_t>((amount - tokens_) / rate_.per_second * 1000.0) + 1;
    }
    [[nodiscard]] std::int64_t last_ms() const { return last_ms_; }

private:
    rate rate_;
    double tokens_;
    std::int64_t last_ms_ = 0;
};

template <class Key>
class rate_limiter {
public:
    rate_limiter(const clock_source& clock, rate r) : clock_(clock), rate_(r) {}
    std::int64_t take(const Key& key) {
        const auto now = clock_.steady_ms();
        std::scoped_lock lock(mutex_);
        if (buckets_.size() > 1024 && now - swept_ms_ > 60'000) sweep(now);
        return buckets_.try_emplace(key, rate_).first->second.take(now);
    }

private:
    void sweep(std::int64_t now) {
        swept_ms_ = now;
        const auto refill_ms = static_cast<std::int64_t>(rate_.burst / rate_.per_second * 1000.0);
        std::erase_if(buckets_, [&](const auto& entry) { return now - entry.second.last_ms() > refill_ms; });
    }
    const clock_source& clock_;
    rate rate_;
    std::mutex mutex_;
    std::int64_t swept_ms_ = 0;
    std::unordered_map<Key, token_bucket> buckets_;
};

}  // namespace ovation
