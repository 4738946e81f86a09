#include "rooms/recorder.hpp"

#include "base/log.hpp"

namespace ovation::rooms {
namespace {
constexpr std::size_t waiting_max = 500;  // half a minute behind: the disk does not keep up
constexpr auto finish_step = std::chrono::milliseconds(20);
constexpr int finish_steps_max = 500;
}  // namespace

recorder::recorder(core& home, worker_pool& workers, std::filesystem::path file, std::vector<std::pair<std::string, std::string>> tags)
    : home_(home), workers_(workers), file_(std::make_shared<songs::recording_writer>(std::move(file), std::move(tags))) {}

void recorder::feed(const v1::Media& m) {
    if (failed_) return;
    waiting_.push_back({m.media_time(), m.song_position(), {m.voice().begin(), m.voice().end()}});
    if (waiting_.size() > waiting_max) waiting_.pop_front();
    if (!busy_) home_.tasks.spawn("record", [](std::shared_ptr<recorder> self) -> awaitable<void> { co_await self->work(); }(shared_from_this()));
}

awaitable<void> recorder::work() {
    if (busy_) co_return;
    busy_ = true;
    while (!waiting_.empty() && !failed_) {
        auto batch = std::make_shared<std::deque<piece>>(std::move(waiting_));
        waiting_.clear();
        auto kept = co_await workers_.run([file = file_, batch] {
            bool good = true;
            for (const auto& p : *batch) good = good && file->add(p.media_time, p.position, p.packets);
            return good;
        });
        if (!kept) {
            // The workers are full: with the next message again.
            waiting_.insert(waiting_.begin(), std::make_move_iterator(batch->begin()), std::make_move_iterator(batch->end()));
            break;
        }
        if (!*kept) {
            failed_ = true;
            log::warn("rooms", "recording_not_written", "err={}", log::quoted("the disk takes no more"));
        }
    }
    busy_ = false;
}

awaitable<std::int64_t> recorder::finish() {
    asio::steady_timer timer(home_.context);
    for (int i = 0; i < finish_steps_max && (busy_ || (!waiting_.empty() && !failed_)); ++i) {
        if (!busy_) co_await work();
        timer.expires_after(finish_step);
        co_await timer.async_wait(use_tuple);
    }
    if (busy_) co_return 0;  // a worker still has the file, and closes it when it is done
    auto sung = co_await workers_.run([file = file_] {
        file->close();
        return file->samples();
    });
    co_return sung ? *sung : 0;
}

}  // namespace ovation::rooms
