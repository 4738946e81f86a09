// Sessions that ended and people who were banned while their access tokens still run: refused at once, sockets closed.
// Shared by all cores; an entry is a few bytes and is dropped when its tokens have run out.
#pragma once
#include <functional>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"

namespace ovation::identity {

class revocations {
public:
    explicit revocations(const clock_source& clock) : clock_(clock) {}
    // Called for each ended session (or, with session 0, for all of the user's), on the thread that ended it.
    using listener = std::function<void(user_id, session_id)>;
    void on_end(listener l) { listeners_.push_back(std::move(l)); }

    void end_session(user_id user, session_id session);
    void ban(user_id user);
    void lift(user_id user);
    // As the database has it: all who are banned, and sessions that ended lately. Bans are left as they are where one was made or
    // lifted here after `since`, which was `changes()` before the database was asked.
    void follow(const std::vector<user_id>& banned, const std::vector<std::pair<user_id, session_id>>& ended, std::uint64_t since);
    [[nodiscard]] std::uint64_t changes() const;
    [[nodiscard]] bool refused(user_id user, session_id session) const;

private:
    const clock_source& clock_;
    std::vector<listener> listeners_;
    mutable std::mutex mutex_;
    std::unordered_map<session_id, std::int64_t> ended_;
    std::unordered_set<user_id> banned_;
    std::uint64_t changes_ = 0;
};

}  // namespace ovation::identity
