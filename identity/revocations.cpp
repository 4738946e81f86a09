#include "identity/revocations.hpp"

#include "base/limits.hpp"

namespace ovation::identity {

void revocations::end_session(user_id user, session_id session) {
    {
        std::scoped_lock lock(mutex_);
        const auto now = clock_.now_ms();
        std::erase_if(ended_, [now](const auto& e) { return e.second < now; });
        ended_[session] = now + limits::access_token_ms;
    }
    for (const auto& l : listeners_) l(user, session);
}
void revocations::ban(user_id user) {
    {
        std::scoped_lock lock(mutex_);
        banned_[user] = true;
    }
    for (const auto& l : listeners_) l(user, session_id());
}
void revocations::lift(user_id user) {
    std::scoped_lock lock(mutex_);
    banned_.erase(user);
}
bool revocations::refused(user_id user, session_id session) const {
    std::scoped_lock lock(mutex_);
    return banned_.contains(user) || ended_.contains(session);
}

}  // namespace ovation::identity
