#include "base/worker_pool.hpp"

namespace ovation {

worker_pool::worker_pool(std::size_t threads, std::size_t queue_max) : queue_max_(queue_max) {
    for (std::size_t i = 0; i < threads; ++i)
        threads_.emplace_back([this] {
            while (true) {
                std::unique_lock lock(mutex_);
                ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
                if (stopping_ || queue_.empty()) return;  // what waits is for nobody any more
                auto job = std::move(queue_.front());
                queue_.pop_front();
                lock.unlock();
                job();
            }
        });
}

worker_pool::~worker_pool() {
    {
        std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    ready_.notify_all();
    for (auto& t : threads_) t.join();
}

bool worker_pool::push(std::function<void()> job) {
    {
        std::scoped_lock lock(mutex_);
        if (stopping_ || queue_.size() >= queue_max_) return false;
        queue_.push_back(std::move(job));
    }
    ready_.notify_one();
    return true;
}

}  // namespace ovation
