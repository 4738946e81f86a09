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
        banned_.insert(user);
        ++changes_;
    }
    for (const auto& l : listeners_) l(user, session_id());
}
void revocations::lift(user_id user) {
    std::scoped_lock lock(mutex_);
    banned_.erase(user);
    ++changes_;
}
void revocations::follow(const std::vector<user_id>& banned, const std::vector<std::pair<user_id, session_id>>& ended, std::uint64_t since) {
    std::vector<std::pair<user_id, session_id>> news;
    {
        std::scoped_lock lock(mutex_);
        for (const auto& one : ended)
            if (!ended_.contains(one.second)) news.push_back(one);
        if (changes_ == since) {
            std::unordered_set<user_id> all(banned.begin(), banned.end());
            for (const auto user : all)
                if (!banned_.contains(user)) news.emplace_back(user, session_id());
            banned_ = std::move(all);
        }
    }
    for (const auto& [user, session] : news) {
        if (session) end_session(user, session);
        else
            for (const auto& l : listeners_) l(user, session);
    }
}
std::uint64_t revocations::changes() const {
    std::scoped_lock lock(mutex_);
    return changes_;
}
bool revocations::refused(user_id user, session_id session) const {
    std::scoped_lock lock(mutex_);
    return banned_.contains(user) || ended_.contains(session);
}

}  // namespace ovation::identity
