// All time comes from here, so that a test can turn the hands.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>

namespace ovation {

class clock_source {
public:
    virtual ~clock_source() = default;
    // Milliseconds since 1970-01-01 UTC.
    [[nodiscard]] virtual std::int64_t now_ms() const = 0;
    // Milliseconds of a clock that never jumps.
    [[nodiscard]] virtual std::int64_t steady_ms() const = 0;
};

class system_clock_source final : public clock_source {
public:
    [[nodiscard]] std::int64_t now_ms() const override {
        using namespace std::chrono;
        return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
    }
    [[nodiscard]] std::int64_t steady_ms() const override {
        using namespace std::chrono;
        return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
    }
};

// For tests; may be turned from another thread.
class virtual_clock_source final : public clock_source {
public:
    explicit virtual_clock_source(std::int64_t start_ms) : now_(start_ms) {}
    [[nodiscard]] std::int64_t now_ms() const override { return now_; }
    [[nodiscard]] std::int64_t steady_ms() const override { return now_; }
    void advance(std::int64_t ms) { now_ += ms; }

private:
    std::atomic<std::int64_t> now_;
};

}  // namespace ovation
