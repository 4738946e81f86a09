// Counters, gauges and histograms in Prometheus' text form. Owned by main; passed by reference.
// Updates are lock-free; registering takes a lock.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace ovation {

class counter {
public:
    void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

class gauge {
public:
    void set(std::int64_t v) { value_.store(v, std::memory_order_relaxed); }
    void add(std::int64_t v) { value_.fetch_add(v, std::memory_order_relaxed); }
    [[nodiscard]] std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::int64_t> value_{0};
};

// Seconds, in buckets of 0.5 ms … 10 s.
class histogram {
public:
    static constexpr std::array<double, 14> bounds{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10};
    void observe(double seconds) {
        std::size_t i = 0;
        while (i < bounds.size() && seconds > bounds[i]) ++i;
        buckets_[i].fetch_add(1, std::memory_order_relaxed);
        sum_us_.fetch_add(static_cast<std::uint64_t>(seconds * 1e6), std::memory_order_relaxed);
    }
    using counts = std::array<std::uint64_t, bounds.size() + 1>;
    [[nodiscard]] counts now() const;
    // The share `q` of what came between two looks lies below this many seconds, by interpolation; nothing came: 0.
    static double quantile(const counts& before, const counts& after, double q);
    void write(std::string& out, std::string_view name) const;

private:
    std::array<std::atomic<std::uint64_t>, bounds.size() + 1> buckets_{};
    std::atomic<std::uint64_t> sum_us_{0};
};

class metrics {
public:
    // name may carry labels: `x_total{kind="a"}`. References stay valid as long as the metrics.
    counter& make_counter(std::string_view name, std::string_view help);
    gauge& make_gauge(std::string_view name, std::string_view help);
    histogram& make_histogram(std::string_view name, std::string_view help);
    [[nodiscard]] std::string text() const;

private:
    template <class T>
    struct item {
        std::string name, help;
        T value;
    };
    mutable std::mutex mutex_;
    std::deque<item<counter>> counters_;
    std::deque<item<gauge>> gauges_;
    std::deque<item<histogram>> histograms_;
};

}  // namespace ovation
