// Who is on stage: the room's singer, and beside them whoever has the other seat. Their voices come in here.
#include <array>
#include <cstdlib>

#include "base/log.hpp"
#include "rooms/room.hpp"
#include "rooms/sql.hpp"

namespace ovation::rooms {
namespace {
// A label this far from where the clock has it moves the stage of those who have no media.
constexpr std::int64_t drift_told = 200 * samples_per_ms;
constexpr int packets_per_message_max = 6;
constexpr std::int64_t media_time_max = 1LL << 52;  // exact in a page's numbers
}  // namespace

std::optional<std::size_t> room::seat_of(const member_ptr& who) const {
    for (std::size_t i = 0; i < seats_.size(); ++i)
        if (seats_[i].who == who) return i;
    return std::nullopt;
}
bool room::both_sit() const {
    return seats_[host].who && seats_[guest].who && !seats_[host].muted && !seats_[guest].muted;
}
int room::voices_of_song() const { return notes_ && std::ranges::any_of(notes_->lines, [](const auto& l) { return l.voice == 2; }) ? 2 : 1; }

// In a duet each takes a part; a song for one is sung by both.
void room::give_voices(int of_singer) {
    const bool parts = voices_of_song() == 2;
    seats_[host].voice = parts ? of_singer : 1;
    seats_[guest].voice = parts ? 3 - of_singer : 1;
}

void room::take_stage(const member_ptr& who, std::uint64_t request_id) {
    if (alone() && facts_.shown.show_id() == 0) facts_.shown.set_show_id(-1);  // it had been left
    if (facts_.shown.show_id() == 0) return refuse(who, request_id, precondition("room_closed", "Open the show first."));
    auto& s = seats_[host];
    // The same singer from another page: the newer one has the stage.
    if (s.who && s.who != who && s.who->out) log::info("rooms", "stage_moved", "room_id={}", facts_.shown.id());
    s.who = who;
    s.user = who->who.user;
    s.name = who->who.name;
    timeline_.new_publisher(host);
    singer_until_ms_ = 0;
    stage_.set_singer_id(who->who.user.value);
    stage_.set_singer_name(who->who.name);
    stage_.clear_reconnect_until_ms();
    if (!seats_[guest].who || stage_.state() != v1::Stage::STATE_PLAYING) stage_.set_state(stage_.performance_id() != 0 ? v1::Stage::STATE_PAUSED : v1::Stage::STATE_READY);
    publish_stage();
    done(who, request_id);
}

void room::leave_stage(const member_ptr& who, std::uint64_t request_id) {
    if (seats_[host].who != who) return refuse(who, request_id, precondition("not_on_stage", "You are not on stage."));
    save_performance(true);
    seats_[host] = {};
    empty_seat();
    singer_until_ms_ = p_.clock.steady_ms() + limits::stage_kept_ms * 10;
    const auto version = stage_.version();
    stage_ = {};
    stage_.set_version(version);
    publish_stage();
    done(who, request_id);
}

void room::take_seat(const member_ptr& who, std::uint64_t request_id, bool record) {
    auto& s = seats_[guest];
    const auto user = who->who.user;
    if (facts_.shown.show_id() == 0) return refuse(who, request_id, precondition("room_closed", "The show is not open."));
    if (is_singer(user)) return refuse(who, request_id, precondition("own_room", "This is your own room: you have the stage."));
    if (s.user && s.user != user) return refuse(who, request_id, precondition("seat_taken", "Somebody else has the seat. Wait until it is free."));
    if (!s.user && seat_locked_ && invited_ != user) return refuse(who, request_id, denied("seat_locked", "The seat is for invited singers. Ask the room's singer to invite you."));
    const bool new_here = s.user != user;
    s.user = user;
    s.name = who->who.name;
    s.who = who;
    s.until_ms = 0;
    timeline_.new_publisher(guest);
    if (invited_ == user) invited_ = {};
    if (new_here) {
        save_seat();
        s.records = record;
        give_voices(seats_[host].voice);
        start_take(s);
        log::info("rooms", "seat_taken", "room_id={} user_id={}", facts_.shown.id(), user.value);
    }
    publish_stage();
    done(who, request_id);
}

void room::leave_seat(const member_ptr& who, std::uint64_t request_id) {
    if (seats_[guest].who != who) return refuse(who, request_id, precondition("not_on_stage", "You do not have the seat."));
    empty_seat();
    publish_stage();
    done(who, request_id);
}

// The guest's part ends; the singer sings on.
void room::empty_seat() {
    auto& s = seats_[guest];
    if (!s.user) return;
    end_part(s);
    s = {};
    save_seat();
    publish_media(timeline_.due(false, p_.clock.steady_ms()));
    wait_for_singer();
}

// Who was here last has gone too: the song stands still until the singer comes back.
void room::wait_for_singer() {
    if (seats_[host].who || seats_[guest].who || stage_.state() == v1::Stage::STATE_EMPTY) return;
    set_position(position_now());
    stage_.set_state(v1::Stage::STATE_RECONNECTING);
    stage_.clear_start_at_ms();
}

void room::save_seat() {
    spawn("save_seat", [](core& home, std::int64_t show, std::int64_t user, bool locked) -> awaitable<void> {
        if (auto saved = co_await home.db.query(sql::save_seat, pg::with(show, user, locked)); !saved) log::warn("rooms", "seat_not_saved", "show_id={} err={}", show, log::quoted(saved.error().message));
    }(p_.home, facts_.shown.show_id(), seats_[guest].user.value, seat_locked_));
}

void room::restore_seat(user_id user, std::string name, bool locked) {
    seat_locked_ = locked;
    if (!user) return;
    seats_[guest].user = user;
    seats_[guest].name = std::move(name);
    seats_[guest].until_ms = p_.clock.steady_ms() + limits::stage_kept_ms;
}

awaitable<result<void>> room::arrange_seat(v1::ArrangeSeat request) {
    if (alone()) co_return precondition("sung_alone", "Nobody else is here: this is a stage of your own.");
    const user_id user(request.user_id());
    auto named = std::ranges::find_if(seats_, [&](const seat& s) { return user && s.user == user; });
    const auto nobody = invalid("user_id", "is not on this stage.");
    switch (request.action()) {
        case v1::ArrangeSeat::ACTION_INVITE: {
            if (facts_.shown.show_id() == 0) co_return precondition("room_closed", "Open the show first.");
            if (seats_[guest].user) co_return precondition("seat_taken", "The seat is taken. Free it first.");
            auto r = co_await p_.home.db.query(sql::singer_by_handle, pg::with(request.handle(), std::int64_t{1} << v1::ROLE_SINGER));
            if (!r) co_return r.error();
            if (r->empty() || is_singer(user_id(r->number(0, 0)))) co_return invalid("handle", "there is no other singer of this name.");
            invited_ = user_id(r->number(0, 0));
            invited_name_ = r->string(0, 1);
            break;
        }
        case v1::ArrangeSeat::ACTION_LOCK:
        case v1::ArrangeSeat::ACTION_UNLOCK:
            seat_locked_ = request.action() == v1::ArrangeSeat::ACTION_LOCK;
            invited_ = {};
            save_seat();
            break;
        case v1::ArrangeSeat::ACTION_MUTE:
        case v1::ArrangeSeat::ACTION_UNMUTE:
            if (named == seats_.end()) co_return nobody;
            named->muted = request.action() == v1::ArrangeSeat::ACTION_MUTE;
            break;
        case v1::ArrangeSeat::ACTION_REMOVE:
            if (user && user == invited_) invited_ = {};
            else if (!user || seats_[guest].user != user) co_return nobody;
            else empty_seat();
            break;
        default: co_return invalid("action", "invite, lock, unlock, mute, unmute or remove.");
    }
    publish_stage();
    co_return result<void>{};
}

void room::media(const member_ptr& who, std::uint64_t request_id, v1::Media message) {
    const auto at = seat_of(who);
    if (!at) return refuse(who, request_id, precondition("not_on_stage", "Take the stage first."));
    auto& s = seats_[*at];
    const auto now = p_.clock.steady_ms();
    const auto bytes = message.ByteSizeLong();
    const auto wait = std::max(who->media_messages.take(now), who->media_bytes.take(now, static_cast<double>(bytes)));
    if (wait > 0) return refuse(who, request_id, exhausted("media_too_fast", "At most 60 messages and 20 000 bytes a second.", wait));
    if (message.voice_size() == 0 || message.voice_size() > packets_per_message_max) return refuse(who, request_id, invalid("voice", "1 to 6 packets of 20 ms."));
    if (message.performance_id() != 0 && message.performance_id() != stage_.performance_id())
        return refuse(who, request_id, invalid("performance_id", "is not the one on stage."));
    if (std::llabs(message.media_time()) > media_time_max) return refuse(who, request_id, invalid("media_time", "lies outside of any clock."));
    if (message.has_song_position()) {
        if (message.performance_id() == 0) return refuse(who, request_id, invalid("song_position", "belongs to a performance."));
        if (message.song_position() < position_min || message.song_position() > position_max) return refuse(who, request_id, invalid("song_position", "lies outside of any song."));
    }
    if (s.muted) return;
    // Still of the place before: both are about to begin elsewhere.
    if (message.has_song_position() && stage_.start_at_ms() > p_.clock.now_ms()) return;
    message.set_publisher_id(who->who.user.value);
    message.clear_backing();
    message.clear_rendition();
    if (message.has_song_position() && s.scoring) s.scoring->feed(message.song_position(), message);
    const bool placed = timeline_.place(message, *at, now);
    if (*at != timeline_.lead()) tell_apart(who, now);
    if (!placed) return;
    if (message.has_song_position() && s.keeping) s.keeping->feed(message);
    if (message.has_song_position() && timeline_.lead() == *at && now >= still_until_ms_) {
        const bool jumped = stage_.state() != v1::Stage::STATE_PLAYING || std::llabs(message.song_position() - position_now()) > drift_told;
        stage_.set_state(v1::Stage::STATE_PLAYING);
        stage_.clear_start_at_ms();
        set_position(message.song_position());
        if (jumped) publish_stage();
    }
    publish_media(timeline_.pass(std::move(message), *at, both_sit(), now));
}

// A page whose sound has stalled, or begun late, lies behind for the rest of the song unless it is told.
void room::tell_apart(const member_ptr& who, std::int64_t now) {
    const auto behind = timeline_.apart(now);
    if (!behind) return;
    log::info("rooms", "duet_apart", "room_id={} user_id={} behind_ms={}", facts_.shown.id(), who->who.user.value, *behind / 48);
    v1::ServerFrame f;
    f.mutable_seat_timing()->set_performance_id(stage_.performance_id());
    f.mutable_seat_timing()->set_behind(*behind);
    reply(who, std::move(f));
}

void room::publish_media(std::vector<v1::Media> messages) {
    for (auto& m : messages) {
        m.set_sequence(++media_sequence_);
        backing_.attach(m);
        v1::ServerFrame f;
        *f.mutable_media() = std::move(m);
        publish(event_class::media, 0, std::move(f));
    }
    const auto next = timeline_.next_due_ms();
    if (!next) return;
    hold_timer_.expires_after(std::chrono::milliseconds(std::max<std::int64_t>(1, *next - p_.clock.steady_ms())));
    hold_timer_.async_wait([weak = weak_from_this()](error_code failed) {
        const auto self = weak.lock();
        if (!failed && self) self->publish_media(self->timeline_.due(self->both_sit(), self->p_.clock.steady_ms()));
    });
}

// A connection of somebody on stage is gone. The guest's seat and the singer's stage are kept; the other one sings on.
void room::singer_gone(std::size_t at) {
    auto& s = seats_[at];
    s.who = nullptr;
    publish_media(timeline_.due(false, p_.clock.steady_ms()));
    if (facts_.shown.show_id() == 0) return;
    const auto until = p_.clock.steady_ms() + limits::stage_kept_ms;
    if (at == host) singer_until_ms_ = until;
    else s.until_ms = until;
    wait_for_singer();
    save_performance(false);
    publish_stage();
}

}  // namespace ovation::rooms
