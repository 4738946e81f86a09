#include "base/task_group.hpp"

#include <boost/asio/detached.hpp>

#include "base/log.hpp"

namespace ovation {

void task_group::spawn(std::string_view name, awaitable<void> task) {
    ++running_;
    asio::co_spawn(context_, std::move(task), [this, label = std::string(name)](std::exception_ptr failure) {
        if (failure) {
            try {
                std::rethrow_exception(failure);
            } catch (const std::exception& e) {
                log::error("task", "bug", "name={} err={}", label, log::quoted(e.what()));
            }
        }
        if (--running_ == 0) idle_.cancel();
    });
}

awaitable<bool> task_group::wait(std::chrono::milliseconds limit) {
    if (running_ == 0) co_return true;
    idle_.expires_after(limit);
    co_await idle_.async_wait(use_tuple);
    co_return running_ == 0;
}

}  // namespace ovation
