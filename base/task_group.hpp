// Background work has an owner that waits for it. The only place where a coroutine is started detached.
// One group per io_context; spawn, stop and wait on its thread.
#pragma once
#include <string_view>

#include "base/asio.hpp"

namespace ovation {

class task_group {
public:
    explicit task_group(asio::io_context& context) : context_(context), idle_(context) { idle_.expires_at(asio::steady_timer::time_point::max()); }
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;

    // An exception that leaves the task is a bug: it is logged under `name`.
    void spawn(std::string_view name, awaitable<void> task);
    [[nodiscard]] std::size_t size() const { return running_; }
    // Waits until no task runs, at most `limit`; false when some still do.
    awaitable<bool> wait(std::chrono::milliseconds limit);

private:
    asio::io_context& context_;
    asio::steady_timer idle_;
    std::size_t running_ = 0;
};

}  // namespace ovation
