// Joining without a gap: subscribe, then snapshot, then what was missed, then live events. While the books are read, live
// events for the newcomer are held back; what the books already told is dropped from them.
#include <algorithm>

#include "base/limits.hpp"
#include "rooms/room.hpp"
#include "rooms/sql.hpp"

namespace ovation::rooms {

awaitable<result<void>> room::enter(member_ptr who, v1::Enter request, std::uint64_t request_id) {
    const auto user = who->who.user;
    if (const auto k = facts_.kicked_until_ms.find(user); user && k != facts_.kicked_until_ms.end() && k->second > p_.clock.now_ms())
        co_return denied("kicked", "The room's staff has asked you to leave for a while.");
    if (user) {
        const auto counts = [&](const member_ptr& m) { return m->who.user == user && m->out && !m->out->closing(); };
        // The newest socket wins: the oldest one is most likely a dead page.
        if (std::ranges::count_if(members_, counts) >= limits::sockets_per_user)
            (*std::ranges::find_if(members_, counts))->out->close(close_too_many, "too many sockets");
    }
    who->joining = true;
    members_.push_back(who);
    p_.numbers.listeners.add(1);
    auto welcomed = co_await welcome(who, std::move(request), request_id);
    if (!welcomed) leave(who);
    co_return welcomed;
}

awaitable<result<void>> room::welcome(member_ptr who, v1::Enter request, std::uint64_t request_id) {
    std::vector<v1::GiftShown> missed;
    pg::rows moderated;
    v1::ServerFrame f;
    f.set_request_id(request_id);
    auto& w = *f.mutable_welcome();
    if (who->who.user) {
        auto balance = co_await p_.wallets.balance_of(who->who.user);
        if (balance) *w.mutable_balance() = std::move(*balance);
    }
    const auto& resume = request.resume();
    const bool asks = request.has_resume();
    bool same_epoch = asks && resume.epoch() == epoch_;
    if (same_epoch && resume.offset() < offset_ && (history_.empty() || history_.front().frame->offset() > resume.offset() + 1)) {
        // Longer away than the room remembers: the books know the gifts of the last ten minutes, the page reloads the rest.
        same_epoch = false;
        w.set_reload(true);
    }
    if (asks && !same_epoch && !alone()) {
        auto gifts = co_await p_.journal.gifts_since(room_id(facts_.shown.id()), entry_seq(resume.entry_seq()), limits::gifts_told_again_max);
        if (!gifts) co_return gifts.error();
        missed = std::move(gifts->gifts);
        if (gifts->more || missed.size() == limits::gifts_told_again_max) w.set_reload(true);
        OVATION_CO_TRY(moderated, co_await p_.home.db.query(sql::history_since, pg::with(facts_.shown.id())));
    }
    if (!who->out) co_return unavailable("gone", "The connection is gone.");

    settle();
    // No suspension from here on: snapshot, missed events, held events and the switch to live are one step.
    w.set_epoch(epoch_);
    w.set_offset(same_epoch ? resume.offset() : offset_);
    w.set_server_time_ms(p_.clock.now_ms());
    *w.mutable_room() = snapshot();
    *w.mutable_stage() = stage_now();
    *w.mutable_queue() = queue_now();
    for (const auto& c : chat_) *w.add_chat() = c;
    w.set_resumed(asks);
    w.set_user_id(who->who.user.value);
    for (int role = v1::ROLE_AUDIENCE; role <= v1::ROLE_SERVICE; ++role)
        if (who->who.roles.has(role)) w.add_roles(static_cast<v1::Role>(role));
    w.set_staff(is_staff(who->who));
    w.set_entry_seq(entry_seq_);
    reply(who, std::move(f));
    if (supporters_) send_now(who, encode(who->wire, *supporters_), event_class::state, 3);
    std::int64_t told = 0;
    for (auto& g : missed) {
        told = std::max(told, g.entry_seq());
        v1::ServerFrame one;
        *one.mutable_gift() = std::move(g);
        reply(who, std::move(one));
    }
    for (int i = 0; i < moderated.size(); ++i) {
        v1::ServerFrame one;
        auto& m = *one.mutable_moderation();
        m.set_kind(static_cast<v1::Moderation::Kind>(moderated.number(i, 0)));
        m.set_user_id(moderated.number(i, 1));
        m.set_name(moderated.string(i, 2));
        m.set_reason(moderated.string(i, 3));
        m.set_until_ms(moderated.number(i, 4));
        reply(who, std::move(one));
    }
    if (same_epoch)
        for (const auto& past : history_)
            if (past.frame->offset() > resume.offset()) reply(who, *past.frame);
    // Held: everything since the subscription. In the same epoch the history above has told it; else the books told up to `told`.
    if (!same_epoch)
        for (const auto& [seq, frame] : who->held)
            if (frame->has_gift() ? seq > told && frame->offset() > 0 : frame->has_moderation()) reply(who, *frame);
    who->held.clear();
    who->told_seq = told;
    who->joining = false;
    if (who->wants_media) send_kept_media(who);
    if (is_singer(who->who.user) && !seats_[host].who && stage_.state() == v1::Stage::STATE_RECONNECTING) publish_stage();
    co_return result<void>{};
}

// The last messages, so that sound begins at once; the first one starts a decoder.
void room::send_kept_media(const member_ptr& who) {
    who->media_gap = true;
    who->had_low = who->low_rate;
    for (const auto& m : media_kept_) send_now(who, encode(who->wire, who->low_rate ? in_low(*m.frame) : *m.frame), event_class::media, 0, m.frame);
}

void room::set_media(const member_ptr& who, bool wanted) {
    wanted = wanted && who->wire == encoding::proto;
    if (std::exchange(who->wants_media, wanted) == wanted || !wanted) return;
    settle();
    send_kept_media(who);
}

void room::leave(const member_ptr& who) {
    who->out = nullptr;
    const auto at = std::ranges::find(members_, who);
    if (at == members_.end()) return;
    const auto index = static_cast<std::size_t>(at - members_.begin());
    p_.numbers.listeners.add(-1);
    p_.numbers.media_dropped.add(who->waiting.dropped_media());
    members_.erase(at);
    // A flush under way counts by position.
    if (!sending_.empty()) {
        if (index < next_member_) --next_member_;
        if (index < sending_until_) --sending_until_;
    }
    if (const auto seat = seat_of(who)) singer_gone(*seat);
}

}  // namespace ovation::rooms
