// CPU work (passwords, Opus) off the loops: a few threads and a bounded queue. A full queue refuses at once.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/asio.hpp"
#include "base/fault.hpp"

namespace ovation {

class worker_pool {
public:
    worker_pool(std::size_t threads, std::size_t queue_max);
    ~worker_pool();
    worker_pool(const worker_pool&) = delete;
    worker_pool& operator=(const worker_pool&) = delete;

    // Runs `work` on a worker and resumes the caller on its own executor. `work` must not touch what its caller may change.
    template <class Work>
    awaitable<result<std::invoke_result_t<Work>>> run(Work work) {
        using value = std::invoke_result_t<Work>;
        auto executor = co_await asio::this_coro::executor;
        auto initiate = [this, executor](auto handler, Work job) {
            auto shared = std::make_shared<decltype(handler)>(std::move(handler));
            const bool taken = push([shared, executor, moved = std::move(job)]() mutable {
                auto out = std::make_shared<value>(moved());
                asio::post(executor, [shared, out] { (*shared)(result<value>(std::move(*out))); });
            });
            if (!taken)
                asio::post(executor, [shared] {
                    (*shared)(result<value>(exhausted("busy", "The server is busy. Try again in a moment.", 1000)));
                });
        };
        co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(result<value>)>(initiate, asio::use_awaitable, std::move(work));
    }

private:
    bool push(std::function<void()> job);
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<std::function<void()>> queue_;
    std::size_t queue_max_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace ovation
