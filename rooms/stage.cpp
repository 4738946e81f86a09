// Who sings, what, and where the song stands. The song position is the one thing that all share: it comes from the singer's
// media messages; between them, and where there is no media, it runs by the clock.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/log.hpp"
#include "rooms/room.hpp"
#include "rooms/sql.hpp"

namespace ovation::rooms {
namespace {
constexpr int key_stage = 2, key_line_score = 5, key_score_total = 6;
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

// Changes nothing: what can be refused is refused before anything is written or shown.
awaitable<result<room::song_to_sing>> room::load_song(std::int64_t song, int key, songs::score_level level) {
    OVATION_CO_TRY(auto r, co_await p_.home.db.query(sql::song_to_sing, pg::with(song)));
    if (r.empty()) co_return not_found("This song");
    song_to_sing out{song, r.number(0, 9), r.string(0, 0), r.string(0, 1), r.string(0, 3), key, level, r.boolean(0, 2), {}, nullptr};
    if (auto taken = co_await p_.shelf.take(out.hash, key)) out.backing = std::move(*taken);
    else if (taken.error().kind != code::not_found) co_return taken.error();
    else if (key != 0) co_return precondition("key_not_made", "The song has not been made in this key. Choose another one.");
    else log::warn("rooms", "backing_missing", "song_id={}", song);  // sung without: the words still run
    if (r.boolean(0, 4) && r.text(0, 5) == "ultrastar") {
        const auto encoding = r.string(0, 7);
        if (auto read = songs::read_ultrastar(pg::bytes_of(r.text(0, 6)), {encoding, false})) out.notes = songs::in_key(std::move(*read), key);
    }
    co_return out;
}

void room::set_song(song_to_sing song) {
    backing_.set(std::move(song.backing));
    notes_ = std::move(song.notes);
    song_hash_ = std::move(song.hash);
    level_ = song.level;
    song_length_ = song.length;
    stage_.set_song_id(song.song);
    stage_.set_song_title(std::move(song.title));
    stage_.set_song_artist(std::move(song.artist));
    stage_.set_content_hash(song_hash_);
    stage_.set_key(song.key);
    stage_.set_points(0);
    licensed_song_ = !song.public_domain;
}

awaitable<void> room::pick_song(member_ptr who, std::uint64_t request_id, v1::PickSong request) {
    const auto level = songs::level_named(request.level().empty() ? "medium" : request.level());
    if (on_stage_ != who) co_return refuse(who, request_id, precondition("not_on_stage", "Take the stage first."));
    if (request.key() < songs::key_min || request.key() > songs::key_max) co_return refuse(who, request_id, invalid("key", "-6 to 6 semitones."));
    if (!level) co_return refuse(who, request_id, invalid("level", "easy, medium or hard."));
    auto song = co_await load_song(request.song_id(), request.key(), *level);
    if (!song) co_return refuse(who, request_id, song.error());
    const auto changed = precondition("not_on_stage", "The stage has changed meanwhile.");
    if (on_stage_ != who || facts_.shown.show_id() == 0) co_return refuse(who, request_id, changed);
    auto made = co_await p_.home.db.query(sql::start_performance, pg::with(facts_.shown.show_id(), who->who.user, request.song_id(), request.key()));
    if (!made) co_return refuse(who, request_id, made.error());
    if (made->empty()) co_return refuse(who, request_id, not_found("This song"));
    if (on_stage_ != who || facts_.shown.show_id() == 0) co_return refuse(who, request_id, changed);
    save_performance(true);
    set_song(std::move(*song));
    stage_.set_performance_id(made->number(0, 0));
    stage_.set_state(v1::Stage::STATE_PAUSED);
    route_ = {};
    media_kept_.clear();
    set_position(0);
    if (request.song_request_id() != 0)
        if (const auto served = queue_.sing(request.song_request_id(), p_.clock.now_ms())) {
            sing_bumped(*served, request.song_id());
            publish_queue();
        }
    start_take();
    publish_stage();
    settle();  // the singer knows the performance before the answer comes
    done(who, request_id);
}

void room::set_stage(const member_ptr& who, std::uint64_t request_id, const v1::SetStage& request) {
    if (on_stage_ != who) return refuse(who, request_id, precondition("not_on_stage", "Take the stage first."));
    constexpr std::array effects{"off", "ktv", "hall", "studio"};
    if (std::ranges::find(effects, request.effect()) == effects.end()) return refuse(who, request_id, invalid("effect", "off, ktv, hall or studio."));
    stage_.set_effect(request.effect());
    stage_.set_hide_score(request.hide_score());
    publish_stage();
    done(who, request_id);
}

void room::start_take() {
    if (!notes_ || stage_.performance_id() == 0) return;
    std::weak_ptr<room> weak = shared_from_this();
    take_ = std::make_shared<take>(take::parts{p_.home, p_.workers, performance_id(stage_.performance_id()), user_id(stage_.singer_id()), song_hash_,
                                               [weak](const v1::LineScore& line) {
                                                   const auto self = weak.lock();
                                                   if (!self || self->stage_.performance_id() != line.performance_id()) return;
                                                   self->stage_.set_points(line.points_so_far());
                                                   v1::ServerFrame f;
                                                   *f.mutable_line_score() = line;
                                                   self->publish(event_class::state, key_line_score, std::move(f));
                                               }},
                                   notes_, songs::judge_options{songs::score_rules::ovation_1, level_, 1, 0}, backing_.of().high);
}

void room::end_take() {
    if (!take_) return;
    spawn("score_total", [](std::shared_ptr<room> self, std::shared_ptr<take> of) -> awaitable<void> {
        auto total = co_await of->finish();
        if (!total) co_return;
        v1::ServerFrame f;
        *f.mutable_score_total() = std::move(*total);
        self->publish(event_class::state, key_score_total, std::move(f));
    }(shared_from_this(), std::exchange(take_, nullptr)));
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
            backing_.clear();
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
    message.clear_rendition();
    if (message.has_song_position()) {
        if (take_) take_->feed(message.song_position(), message);
        message.set_flags(1);
    }
    backing_.attach(message);
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

void room::resume_show(performance_id performance, std::int64_t song, std::string title, std::string artist, bool public_domain, std::int64_t position, int key) {
    singer_until_ms_ = p_.clock.steady_ms() + limits::stage_kept_ms;
    stage_.set_state(v1::Stage::STATE_RECONNECTING);
    stage_.set_singer_id(facts_.shown.singer_id());
    stage_.set_singer_name(facts_.shown.singer_name());
    stage_.set_performance_id(performance.value);
    stage_.set_song_id(song);
    stage_.set_song_title(std::move(title));
    stage_.set_song_artist(std::move(artist));
    stage_.set_key(key);
    licensed_song_ = performance.value != 0 && !public_domain;
    set_position(position);
    if (performance.value == 0) return;
    // The lines sung before are judged no more: what was heard was in memory.
    spawn("load_song", [](std::shared_ptr<room> self, std::int64_t of, int in_key) -> awaitable<void> {
        auto loaded = co_await self->load_song(of, in_key, songs::score_level::medium);
        if (!loaded) co_return log::warn("rooms", "song_not_loaded", "song_id={} err={}", of, log::quoted(loaded.error().message));
        if (self->stage_.song_id() != of) co_return;  // the singer was quicker
        self->set_song(std::move(*loaded));
        self->start_take();
    }(shared_from_this(), song, key));
}

void room::save_performance(bool ended) {
    if (ended) {
        end_take();
        end_bump();
    }
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
