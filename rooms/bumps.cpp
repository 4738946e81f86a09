// Paid bumps. Money first: the coins are held before the queue moves, captured when the song has been sung, released when not.
#include <algorithm>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "rooms/room.hpp"

namespace ovation::rooms {
std::int32_t room::bumps_left() const { return facts_.shown.bump_price_coins() == 0 ? 0 : std::max(0, facts_.shown.bumps_per_show() - bumps_sold_); }

void room::set_bumps(std::int64_t price_coins, std::int32_t per_show) {
    facts_.shown.set_bump_price_coins(price_coins);
    facts_.shown.set_bumps_per_show(per_show);
    if (facts_.shown.show_id() != 0) publish_queue();
}

std::optional<fault> room::why_no_bump(user_id who, const v1::BumpRequest& request) const {
    const auto price = facts_.shown.bump_price_coins();
    if (facts_.shown.show_id() == 0) return precondition("room_closed", "The show is over. Nothing was charged.");
    if (price == 0) return precondition("bumps_not_sold", "This room sells no earlier places. Nothing was charged.");
    const auto* one = queue_.find(request.id());
    if (!one) return not_found("This request");
    if (!one->user || one->user != who) return denied("not_yours", "This is somebody else's request. Nothing was charged.");
    if (request.price_coins() != price) return precondition("price_changed", "The price of an earlier place has changed. Nothing was charged; look at the new price and ask again.");
    if (auto can = queue_.can_bump(request.id()); !can) return can.error();
    if (bumps_left() == 0) return precondition("bumps_sold_out", "All earlier places of this show are sold. Nothing was charged.");
    return std::nullopt;
}

awaitable<void> room::bump(member_ptr who, std::uint64_t request_id, v1::BumpRequest request) {
    const auto key = uuid::parse(request.key());
    if (!key || key->version() != 7) co_return refuse(who, request_id, invalid("key", "must be a UUID version 7 that the client makes for this bump."));
    const auto user = who->who.user;
    const bump_order order{*key, user, room_id(facts_.shown.id()), show_id(facts_.shown.show_id()), request.id(), request.price_coins()};
    auto held = co_await p_.bumps.hold(order, why_no_bump(user, request));
    if (!held) co_return refuse(who, request_id, held.error());
    if (*held) co_return done(who, request_id);
    // The queue may have changed while the coins were being held: asked again, and given back then.
    auto no = why_no_bump(user, request);
    if (facts_.shown.show_id() != order.show.value) no = precondition("room_closed", "The show is over. Nothing was charged.");
    if (!no)
        if (auto moved = queue_.bump(request.id()); !moved) no = moved.error();
    if (no) {
        co_await give_back(order.show, request.id(), user);
        co_return refuse(who, request_id, *no);
    }
    ++bumps_sold_;
    ++queue_version_;
    co_await save_queue();  // whoever is told that it is done finds it so after a restart
    co_await tell_balance(user);
    done(who, request_id);
    v1::ServerFrame f;
    *f.mutable_queue() = queue_now();
    publish(event_class::state, key_queue, std::move(f));
}

awaitable<void> room::give_back(show_id show, std::int64_t request, user_id user) {
    if (auto released = co_await p_.bumps.release(show, request); !released)
        log::warn("rooms", "bump_not_released", "show_id={} request={} err={}", show.value, request, log::quoted(released.error().message));
    co_await tell_balance(user);
}

// A request leaves the queue unsung, and its show goes on.
void room::drop_bump(const song_queue::request& of) {
    if (!of.bumped) return;
    --bumps_sold_;
    spawn("give_back", give_back(show_id(facts_.shown.show_id()), of.id, of.user));
}

// Its request has been picked. Another song in its place is not what was paid for.
void room::sing_bumped(const song_queue::request& of, std::int64_t song) {
    if (!of.bumped) return;
    if (of.song != song) return drop_bump(of);
    played_at_ms_ = p_.clock.steady_ms();
    sung_bump_ = bump_on_stage{show_id(facts_.shown.show_id()), of.id, of.user, user_id(stage_.singer_id()), performance_id(stage_.performance_id()), licensed_song_, {}, 0};
    spawn("bump_on_stage", [](std::shared_ptr<room> self, bump_on_stage one) -> awaitable<void> {
        auto route = co_await self->p_.routes.make(self->facts_.channel, one.singer, one.licensed);
        if (!route) co_return log::warn("rooms", "bump_without_route", "show_id={} request={} err={}", one.show.value, one.request, log::quoted(route.error().message));
        if (self->sung_bump_ && self->sung_bump_->performance == one.performance) self->sung_bump_->route = *route;
        if (auto noted = co_await self->p_.bumps.sung_in(one.show, one.request, one.performance, *route); !noted)
            log::warn("rooms", "bump_not_noted", "show_id={} request={} err={}", one.show.value, one.request, log::quoted(noted.error().message));
    }(shared_from_this(), *sung_bump_));
}

void room::count_played(std::int64_t now) {
    if (sung_bump_ && stage_.state() == v1::Stage::STATE_PLAYING) sung_bump_->played_ms += now - played_at_ms_;
    played_at_ms_ = now;
}

// The performance is over.
void room::end_bump() {
    count_played(p_.clock.steady_ms());
    if (sung_bump_) spawn("close_sung", close_sung(*std::exchange(sung_bump_, std::nullopt)));
}
awaitable<void> room::close_sung(bump_on_stage one) {
    if (one.played_ms < limits::bump_sung_ms) {
        if (facts_.shown.show_id() == one.show.value) --bumps_sold_;
        co_await give_back(one.show, one.request, one.user);
        co_return;
    }
    if (!one.route)
        if (auto made = co_await p_.routes.make(facts_.channel, one.singer, one.licensed)) one.route = *made;
    // Without a route it stays held, and is asked again by whoever sweeps.
    if (!one.route) co_return log::warn("rooms", "bump_without_route", "show_id={} request={}", one.show.value, one.request);
    if (auto captured = co_await p_.bumps.capture(one.show, one.request, one.route); !captured)
        log::warn("rooms", "bump_not_captured", "show_id={} request={} err={}", one.show.value, one.request, log::quoted(captured.error().message));
}

// A queue ends with its show; what was held for it goes back.
void room::end_queue(std::int64_t show) {
    std::vector<song_queue::request> left = queue_.all();
    if (queue_.skipped()) left.push_back(*queue_.skipped());
    std::erase_if(left, [](const song_queue::request& r) { return !r.bumped; });
    spawn("end_queue", [](std::shared_ptr<room> self, show_id of, std::vector<song_queue::request> bumped) -> awaitable<void> {
        for (const auto& r : bumped) co_await self->give_back(of, r.id, r.user);
    }(shared_from_this(), show_id(show), std::move(left)));
    queue_ = {};
    bumps_sold_ = 0;
    ++queue_version_;
    v1::ServerFrame f;
    *f.mutable_queue() = queue_now();
    publish(event_class::state, key_queue, std::move(f));
}

// After a restart the books and the queue are compared: coins whose request does not stand in front go back, and a place that
// nothing pays for is an ordinary one again.
void room::restore_bumps(const std::vector<paid_bump>& paid) {
    std::vector<std::int64_t> ordinary;
    for (const auto& r : queue_.all())
        if (r.bumped && std::ranges::none_of(paid, [&](const paid_bump& b) { return b.open && !b.performance && b.request == r.id; })) ordinary.push_back(r.id);
    for (const auto id : ordinary) queue_.forget_bump(id);
    bumps_sold_ = static_cast<std::int32_t>(paid.size());
    const show_id show(facts_.shown.show_id());
    for (const auto& b : paid) {
        if (!b.open) continue;
        if (b.performance) {
            // On stage still; else its performance has ended, and whoever sweeps looks how far it went.
            if (b.performance.value != stage_.performance_id()) continue;
            sung_bump_ = bump_on_stage{show, b.request, b.user, user_id(stage_.singer_id()), b.performance, licensed_song_, b.route, std::max<std::int64_t>(0, position_ / samples_per_ms)};
            continue;
        }
        const auto* waits = queue_.find(b.request);
        if (waits && waits->bumped) continue;
        --bumps_sold_;
        spawn("give_back", give_back(show, b.request, b.user));
    }
}

awaitable<void> room::tell_balance(user_id user) {
    auto balance = co_await p_.wallets.balance_of(user);
    if (!balance) co_return;
    v1::ServerFrame f;
    *f.mutable_balance() = std::move(*balance);
    for (const auto& m : std::vector(members_))
        if (m->who.user == user && !m->joining) reply(m, f);
}

}  // namespace ovation::rooms
