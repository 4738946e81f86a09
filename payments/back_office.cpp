#include "payments/back_office.hpp"

#include "base/log.hpp"

namespace ovation::payments {
namespace {
constexpr auto posted_every = std::chrono::seconds(1);
constexpr int looked_every = 30;  // of these
}  // namespace

awaitable<void> back_office::run() {
    const auto told = [](const char* what, const result<void>& done) {
        if (!done) log::warn("payments", "sweep_failed", "what={} err={}", what, log::quoted(done.error().in_full()));
    };
    for (int i = 0; !stopping_; ++i) {
        if (queue_.is_writer()) {
            const auto left = co_await books_.sweep();
            if (!left) log::warn("payments", "sweep_failed", "what=steps err={}", log::quoted(left.error().in_full()));
            else unbooked_.set(*left);
            if (i % looked_every == 0 && !stopping_) {
                told("payouts", co_await payouts_.sweep());
                if (top_ups_) told("top_ups", co_await top_ups_->sweep());
                told("cases", co_await cases_.sweep());  // after what is sent: its figures are of now
            }
        } else {
            i = -1;  // looks at everything as soon as it is the writer
        }
        if (stopping_) break;
        wake_.expires_after(posted_every);
        co_await wake_.async_wait(use_tuple);
    }
}
void back_office::stop() {
    stopping_ = true;
    asio::post(home_.context, [this] { wake_.cancel(); });
}

}  // namespace ovation::payments
