// Bumps of song requests: coins that are held before the queue moves, captured when the song has been sung, released when not.
// gifts.bump is the record: intended → held → captured or released. What is decided is written there before the entry that does
// it is posted, and every entry's key follows from the bump's: whatever a crash cuts short, `run` finishes, in one way only.
#pragma once
#include <atomic>
#include <mutex>
#include <optional>
#include <unordered_set>

#include "base/cores.hpp"
#include "base/uuid.hpp"
#include "ledger/posting_queue.hpp"

namespace ovation::gifts {

struct bump_order {
    uuid key;
    user_id user;
    room_id room;
    show_id show;
    std::int64_t request = 0;
    std::int64_t coins = 0;
};
struct paid_bump {
    std::int64_t request = 0;
    user_id user;
    performance_id performance;  // 0: it waits
    route_id route;
    bool open = false;           // held; else captured
};

class bumps {
public:
    bumps(cores& all, core& home, ledger::posting_queue& queue) : all_(all), home_(home), queue_(queue), wake_(home.context) {}
    bumps(const bumps&) = delete;
    bumps& operator=(const bumps&) = delete;

    // From any core. A new key is refused with `if_new` where there is one; true: the key is known and paid already.
    awaitable<result<bool>> hold(bump_order order, std::optional<fault> if_new);
    awaitable<result<void>> sung_in(show_id show, std::int64_t request, performance_id performance, route_id route);
    awaitable<result<void>> capture(show_id show, std::int64_t request, route_id route);
    awaitable<result<void>> release(show_id show, std::int64_t request);
    awaitable<result<std::vector<paid_bump>>> paid(show_id show);

    // On the home core: at start and each minute finishes what was cut short; ends after stop().
    awaitable<void> run();
    void stop();
    awaitable<result<void>> sweep();

private:
    class under_way;
    awaitable<result<void>> decide(show_id show, std::int64_t request, std::string what, route_id route);
    awaitable<result<void>> close(pg::rows rows, int row);
    cores& all_;
    core& home_;
    ledger::posting_queue& queue_;
    asio::steady_timer wake_;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;  // guards keys_
    std::unordered_set<std::string> keys_;  // being held
};

}  // namespace ovation::gifts
