#include "rooms/song_queue.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace ovation::rooms {
namespace {
constexpr std::int64_t between_songs_ms = 20'000;
bool same_asker(const song_queue::request& a, const song_queue::request& b) { return a.user == b.user && (a.user || a.name == b.name); }
}  // namespace

std::optional<std::size_t> song_queue::place(std::int64_t id) const {
    const auto at = std::ranges::find(order_, id, &request::id);
    if (at == order_.end()) return std::nullopt;
    return static_cast<std::size_t>(at - order_.begin());
}
const song_queue::request* song_queue::find(std::int64_t id) const {
    const auto at = place(id);
    return at ? &order_[*at] : nullptr;
}
std::int64_t song_queue::last_sung(const request& r) const {
    const auto at = sung_at_ms_.find(r.user);
    return !r.user || at == sung_at_ms_.end() ? 0 : at->second;
}

result<std::int64_t> song_queue::add(request r) {
    const auto mine = std::ranges::count_if(order_, [&](const request& o) { return same_asker(o, r); });
    if (static_cast<std::size_t>(mine) >= limits::requests_per_user) return precondition("too_many_requests", "You have three songs in the queue already. Take one back, or wait until one is sung.");
    if (order_.size() >= limits::requests_per_room) return precondition("queue_full", "The queue is full. Try again when a song has been sung.");
    if (std::ranges::any_of(order_, [&](const request& o) { return same_asker(o, r) && o.song == r.song; })) return precondition("already_asked", "You have asked for this song already.");
    // Behind the locked one and the bumped ones: before the first of a later round, or of the same round whose asker was sung for later.
    std::size_t at = std::min<std::size_t>(1, order_.size());
    for (std::size_t i = at; i < order_.size(); ++i)
        if (order_[i].bumped) at = i + 1;
    for (; at < order_.size(); ++at) {
        const auto round = std::ranges::count_if(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(at), [&](const request& o) { return same_asker(o, order_[at]); });
        if (round > mine || (round == mine && last_sung(order_[at]) > last_sung(r))) break;
    }
    r.id = next_id_++;
    const auto id = r.id;
    order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(at), std::move(r));
    return id;
}

result<song_queue::request> song_queue::take(std::int64_t id) {
    const auto at = place(id);
    if (!at) return not_found("This request");
    auto out = std::move(order_[*at]);
    order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(*at));
    return out;
}
result<void> song_queue::skip(std::int64_t id) {
    const auto at = place(id);
    if (!at) return not_found("This request");
    OVATION_CHECK_VALUE(gone, take(id));
    skipped_.emplace(std::move(gone), *at);
    return result<void>{};
}
result<void> song_queue::undo_skip() {
    if (!skipped_) return precondition("nothing_skipped", "Nothing was skipped that could be taken back.");
    const auto at = std::min(skipped_->second, order_.size());
    order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(at), std::move(skipped_->first));
    skipped_.reset();
    return result<void>{};
}
result<void> song_queue::move(std::int64_t id, int index) {
    const auto at = place(id);
    if (!at) return not_found("This request");
    if (index < 1 || *at == 0) return precondition("next_is_locked", "The next song is locked. Move the ones behind it.");
    auto one = std::move(order_[*at]);
    order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(*at));
    order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(std::min(static_cast<std::size_t>(index), order_.size())), std::move(one));
    return result<void>{};
}
result<void> song_queue::hold(std::int64_t id, bool held) {
    const auto at = place(id);
    if (!at) return not_found("This request");
    order_[*at].held = held;
    return result<void>{};
}
std::size_t song_queue::locked() const {
    const auto at = std::ranges::find(order_, false, &request::held);
    return at == order_.end() ? 0 : static_cast<std::size_t>(at - order_.begin());
}
result<void> song_queue::can_bump(std::int64_t id) const {
    const auto at = place(id);
    if (!at) return not_found("This request");
    if (order_[*at].bumped) return precondition("already_bumped", "This request has been moved up already. Nothing was charged.");
    if (*at <= locked()) return precondition("next_is_locked", "This song is next. It cannot come earlier; nothing was charged.");
    return result<void>{};
}
result<void> song_queue::bump(std::int64_t id) {
    OVATION_CHECK(can_bump(id));
    const auto from = order_.begin() + static_cast<std::ptrdiff_t>(*place(id));
    from->bumped = true;
    // Never backwards: at the latest its own place is the first that is not bumped.
    auto to = order_.begin() + static_cast<std::ptrdiff_t>(locked() + 1);
    while (to != from && to->bumped) ++to;
    std::rotate(to, from, from + 1);
    return result<void>{};
}
void song_queue::forget_bump(std::int64_t id) {
    if (const auto at = place(id)) order_[*at].bumped = false;
}
result<song_queue::request> song_queue::sing(std::int64_t id, std::int64_t now_ms) {
    OVATION_CHECK_VALUE(out, take(id));
    if (out.user) sung_at_ms_[out.user] = now_ms;
    return out;
}

v1::Queue song_queue::shown(std::int64_t rest_ms) const {
    v1::Queue out;
    std::int64_t wait = rest_ms;
    bool locked = false;
    for (const auto& r : order_) {
        auto& e = *out.add_entries();
        e.set_id(r.id);
        e.set_user_id(r.user.value);
        e.set_name(r.name);
        e.set_song_id(r.song);
        e.set_title(r.title);
        e.set_artist(r.artist);
        e.set_key(r.key);
        e.set_held(r.held);
        e.set_bumped(r.bumped);
        e.set_duration_ms(r.duration_ms);
        e.set_locked(!locked && !r.held);
        locked = locked || !r.held;
        if (r.held) continue;
        e.set_wait_ms(wait);
        wait += r.duration_ms + between_songs_ms;
    }
    for (const auto& [user, at] : sung_at_ms_) (*out.mutable_sung_at_ms())[user.value] = at;
    out.set_next_id(next_id_);
    return out;
}
void song_queue::restore(const v1::Queue& from) {
    order_.clear();
    for (const auto& e : from.entries()) order_.push_back({e.id(), user_id(e.user_id()), e.name(), e.song_id(), e.title(), e.artist(), e.key(), e.duration_ms(), e.held(), e.bumped()});
    for (const auto& [user, at] : from.sung_at_ms()) sung_at_ms_[user_id(user)] = at;
    next_id_ = std::max<std::int64_t>(from.next_id(), 1);
}

}  // namespace ovation::rooms
