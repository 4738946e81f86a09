// Who sings, what, and where the song stands. The song position is the one thing that all share: it comes from the singer's
// media messages; between them, and where there is no media, it runs by the clock.
#include <algorithm>
#include <cstdlib>

#include "base/log.hpp"
#include "rooms/room.hpp"
#include "rooms/sql.hpp"

namespace ovation::rooms {
namespace {
constexpr int key_stage = 2;
constexpr std::int64_t samples_per_ms = 48;
// A label this far from where the clock has it moves the stage of those who have no media.
constexpr std::int64_t drift_told = 200 * samples_per_ms;
constexpr std::int64_t position_min = -60'000 * samples_per_ms;
constexpr std::int64_t position_max = 3'600'000 * samples_per_ms;
constexpr int packets_per_message_max = 6;
}  // namespace

std::int64_t room::position_now() const {
    if (stage_.state() != v1::Stage::STATE_PLAYING) return position_;
    return position_ + (p_.clock.steady_ms() - position_at_ms_) * samples_per_ms;
}
void room::set_position(std::int64_t position) {
    position_ = position;
    position_at_ms_ = p_.clock.steady_ms();
}

v1::Stage room::stage_now() const {
    auto out = stage_;
    out.set_song_position(position_now());
    out.set_server_time_ms(p_.clock.now_ms());
    if (singer_until_ms_ != 0 && stage_.state() == v1::Stage::STATE_RECONNECTING)
        out.set_reconnect_until_ms(p_.clock.now_ms() + singer_until_ms_ - p_.clock.steady_ms());
    return out;
}
void room::publish_stage() {
    stage_.set_version(stage_.version() + 1);
    v1::ServerFrame f;
    *f.mutable_stage() = stage_now();
    publish(event_class::state, key_stage, std::move(f));
}

void room::take_stage(const member_ptr& who, std::uint64_t request_id) {
    if (facts_.shown.show_id() == 0) return refuse(who, request_id, precondition("room_closed", "Open the show first."));
    if (on_stage_ && on_stage_ != who && on_stage_->out) {
        // The same singer from another page: the newer one has the stage.
        log::info("rooms", "stage_moved", "room_id={}", facts_.shown.id());
    }
    on_stage_ = who;
    singer_until_ms_ = 0;
    stage_.set_singer_id(who->who.user.value);
    stage_.set_singer_name(who->who.name);
    stage_.clear_reconnect_until_ms();
    stage_.set_state(stage_.performance_id() != 0 ? v1::Stage::STATE_PAUSED : v1::Stage::STATE_READY);
    publish_stage();
    done(who, request_id);
}

void room::leave_stage(const member_ptr& who, std::uint64_t request_id) {
    if (on_stage_ != who) return refuse(who, request_id, precondition("not_on_stage", "You are not on stage."));
    save_performance(true);
    on_stage_ = nullptr;
    singer_until_ms_ = p_.clock.steady_ms() + limits::stage_kept_ms * 10;
    const auto version = stage_.version();
    stage_ = {};
    stage_.set_version(version);
    route_ = {};
    publish_stage();
    done(who, request_id);
}

awaitable<void> room::pick_song(member_ptr who, std::uint64_t request_id, std::int64_t song) {
    if (on_stage_ != who) {
        refuse(who, request_id, precondition("not_on_stage", "Take the stage first."));
        co_return;
    }
    auto made = co_await p_.home.db.query(sql::start_performance, pg::with(facts_.shown.show_id(), who->who.user, song));
    if (!made) {
        refuse(who, request_id, made.error());
        co_return;
    }
    if (made->empty()) {
        refuse(who, request_id, not_found("This song"));
        co_return;
    }
    if (on_stage_ != who || facts_.shown.show_id() == 0) {
        refuse(who, request_id, precondition("not_on_stage", "The stage has changed meanwhile."));
        co_return;
    }
    save_performance(true);
    stage_.set_performance_id(made->number(0, 0));
    stage_.set_song_id(song);
    stage_.set_song_title(made->string(0, 1));
    stage_.set_song_artist(made->string(0, 2));
    stage_.set_state(v1::Stage::STATE_PAUSED);
    licensed_song_ = !made->boolean(0, 3);
    route_ = {};
    media_kept_.clear();
    set_position(0);
    publish_stage();
    done(who, request_id);
}

void room::control_song(const member_ptr& who, std::uint64_t request_id, const v1::ControlSong& control) {
    if (on_stage_ != who) return refuse(who, request_id, precondition("not_on_stage", "Take the stage first."));
    if (stage_.performance_id() == 0) return refuse(who, request_id, precondition("no_song", "Pick a song first."));
    const auto here = position_now();
    switch (control.action()) {
        case v1::ControlSong::ACTION_PLAY:
            set_position(here);
            stage_.set_state(v1::Stage::STATE_PLAYING);
            break;
        case v1::ControlSong::ACTION_PAUSE:
            set_position(here);
            stage_.set_state(v1::Stage::STATE_PAUSED);
            break;
        case v1::ControlSong::ACTION_SEEK:
            if (control.song_position() < position_min || control.song_position() > position_max) return refuse(who, request_id, invalid("song_position", "lies outside of any song."));
            set_position(control.song_position());
            break;
        case v1::ControlSong::ACTION_STOP: {
            save_performance(true);
            stage_.set_performance_id(0);
            stage_.set_song_id(0);
            stage_.clear_song_title();
            stage_.clear_song_artist();
            stage_.set_state(v1::Stage::STATE_READY);
            licensed_song_ = false;
            route_ = {};
            set_position(0);
            break;
        }
        default: return refuse(who, request_id, invalid("action", "play, pause, seek or stop."));
    }
    publish_stage();
    done(who, request_id);
}

void room::media(const member_ptr& who, std::uint64_t request_id, v1::Media message) {
    if (on_stage_ != who) return refuse(who, request_id, precondition("not_on_stage", "Take the stage first."));
    const auto now = p_.clock.steady_ms();
    const auto bytes = message.ByteSizeLong();
    const auto wait = std::max(who->media_messages.take(now), who->media_bytes.take(now, static_cast<double>(bytes)));
    if (wait > 0) return refuse(who, request_id, exhausted("media_too_fast", "At most 60 messages and 20 000 bytes a second.", wait));
    if (message.voice_size() == 0 || message.voice_size() > packets_per_message_max) return refuse(who, request_id, invalid("voice", "1 to 6 packets of 20 ms."));
    if (message.performance_id() != 0 && message.performance_id() != stage_.performance_id())
        return refuse(who, request_id, invalid("performance_id", "is not the one on stage."));
    if (message.has_song_position()) {
        if (message.performance_id() == 0) return refuse(who, request_id, invalid("song_position", "belongs to a performance."));
        if (message.song_position() < position_min || message.song_position() > position_max) return refuse(who, request_id, invalid("song_position", "lies outside of any song."));
        const bool jumped = stage_.state() != v1::Stage::STATE_PLAYING || std::llabs(message.song_position() - position_now()) > drift_told;
        stage_.set_state(v1::Stage::STATE_PLAYING);
        set_position(message.song_position());
        if (jumped) publish_stage();
    }
    message.set_sequence(++media_sequence_);
    message.set_publisher_id(who->who.user.value);
    message.clear_backing();
    v1::ServerFrame f;
    *f.mutable_media() = std::move(message);
    publish(event_class::media, 0, std::move(f));
}

void room::singer_gone() {
    on_stage_ = nullptr;
    if (facts_.shown.show_id() == 0) return;
    set_position(position_now());
    singer_until_ms_ = p_.clock.steady_ms() + limits::stage_kept_ms;
    stage_.set_state(v1::Stage::STATE_RECONNECTING);
    save_performance(false);
    publish_stage();
}

void room::resume_show(performance_id performance, std::int64_t song, std::string title, std::string artist, bool public_domain, std::int64_t position) {
    singer_until_ms_ = p_.clock.steady_ms() + limits::stage_kept_ms;
    stage_.set_state(v1::Stage::STATE_RECONNECTING);
    stage_.set_singer_id(facts_.shown.singer_id());
    stage_.set_singer_name(facts_.shown.singer_name());
    stage_.set_performance_id(performance.value);
    stage_.set_song_id(song);
    stage_.set_song_title(std::move(title));
    stage_.set_song_artist(std::move(artist));
    licensed_song_ = performance.value != 0 && !public_domain;
    set_position(position);
}

void room::save_performance(bool ended) {
    saved_at_ms_ = p_.clock.steady_ms();
    if (stage_.performance_id() == 0) return;
    spawn("save_performance", [](core& home, std::int64_t performance, std::int64_t position, bool over) -> awaitable<void> {
        if (auto saved = co_await home.db.query(sql::save_performance, pg::with(performance, position, over)); !saved)
            log::warn("rooms", "performance_not_saved", "performance_id={} err={}", performance, log::quoted(saved.error().message));
    }(p_.home, stage_.performance_id(), position_now(), ended));
}

awaitable<result<room::stage_answer>> room::stage_route(user_id to_singer) {
    const fault closed = precondition("room_closed", "The show is over. Nothing was charged.");
    if (facts_.shown.show_id() == 0) co_return closed;
    const user_id singer(facts_.shown.singer_id());
    if (to_singer && to_singer != singer) co_return precondition("wrong_singer", "This singer is not on stage any more. Nothing was charged.");
    auto route = route_;
    const auto performance = stage_.performance_id();
    if (!route) {
        OVATION_CO_TRY(const auto made, co_await p_.routes.make(facts_.channel, singer, licensed_song_ && stage_.performance_id() != 0));
        if (facts_.shown.show_id() == 0) co_return closed;
        route = made;
        if (performance == stage_.performance_id()) route_ = made;
    }
    stage_answer out{route, singer, performance_id(stage_.performance_id()), std::nullopt};
    if (stage_.performance_id() != 0) out.song_position = position_now();
    co_return out;
}

}  // namespace ovation::rooms
