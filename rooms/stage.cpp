// Who sings, what, and where the song stands. The song position is the one thing that all share: it comes from the singer's
// media messages; between them, and where there is no media, it runs by the clock.
#include <algorithm>
#include <google/protobuf/util/json_util.h>
#include <spdlog/fmt/fmt.h>

#include <array>

#include "base/log.hpp"
#include "rooms/room.hpp"
#include "rooms/sql.hpp"

namespace ovation::rooms {
namespace {
constexpr std::int64_t still_ms = 700;
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
    if (seats_[guest].user)
        for (const auto& s : seats_) {
            auto& shown = *out.add_seats();
            shown.set_user_id(s.user ? s.user.value : facts_.shown.singer_id());
            shown.set_name(s.user ? s.name : facts_.shown.singer_name());
            shown.set_voice(s.voice);
            shown.set_muted(s.muted);
            shown.set_away(!s.who);
            shown.set_points(s.points);
        }
    out.set_seat_locked(seat_locked_);
    out.set_invited_id(invited_.value);
    if (invited_) out.set_invited_name(invited_name_);
    if (singer_until_ms_ != 0 && (stage_.state() == v1::Stage::STATE_RECONNECTING || seats_[guest].who))
        out.set_reconnect_until_ms(p_.clock.now_ms() + singer_until_ms_ - p_.clock.steady_ms());
    return out;
}
void room::publish_stage() {
    stage_.set_version(stage_.version() + 1);
    v1::ServerFrame f;
    *f.mutable_stage() = stage_now();
    publish(event_class::state, key_stage, std::move(f));
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
    if (seats_[host].who != who) co_return refuse(who, request_id, precondition("not_on_stage", "Take the stage first."));
    if (request.key() < songs::key_min || request.key() > songs::key_max) co_return refuse(who, request_id, invalid("key", "-6 to 6 semitones."));
    if (!level) co_return refuse(who, request_id, invalid("level", "easy, medium or hard."));
    if (request.voice() < 0 || request.voice() > 2) co_return refuse(who, request_id, invalid("voice", "1 or 2."));
    auto song = co_await load_song(request.song_id(), request.key(), *level);
    if (!song) co_return refuse(who, request_id, song.error());
    const auto changed = precondition("not_on_stage", "The stage has changed meanwhile.");
    if (seats_[host].who != who || facts_.shown.show_id() == 0) co_return refuse(who, request_id, changed);
    auto made = co_await p_.home.db.query(sql::start_performance, pg::with(alone() ? 0 : facts_.shown.show_id(), who->who.user, request.song_id(), request.key(), seats_[guest].user ? 2 : 1, songs::name_of(*level), request.voice() == 2 ? 2 : 1));
    if (!made) co_return refuse(who, request_id, made.error());
    if (made->empty()) co_return refuse(who, request_id, not_found("This song"));
    if (seats_[host].who != who || facts_.shown.show_id() == 0) co_return refuse(who, request_id, changed);
    save_performance(true);
    set_song(std::move(*song));
    give_voices(request.voice() == 2 ? 2 : 1);
    seats_[host].records = request.record();
    stage_.set_performance_id(made->number(0, 0));
    stage_.set_state(v1::Stage::STATE_PAUSED);
    stage_.clear_start_at_ms();
    for (auto& s : seats_) s.route = {};
    media_kept_.clear();
    timeline_.drop_waiting();
    set_position(0);
    if (request.song_request_id() != 0)
        if (const auto served = queue_.sing(request.song_request_id(), p_.clock.now_ms())) {
            sing_bumped(*served, request.song_id());
            publish_queue();
        }
    start_takes();
    publish_stage();
    settle();  // the singer knows the performance before the answer comes
    done(who, request_id);
}

void room::set_stage(const member_ptr& who, std::uint64_t request_id, const v1::SetStage& request) {
    if (seats_[host].who != who) return refuse(who, request_id, precondition("not_on_stage", "Take the stage first."));
    constexpr std::array effects{"off", "ktv", "hall", "studio"};
    if (std::ranges::find(effects, request.effect()) == effects.end()) return refuse(who, request_id, invalid("effect", "off, ktv, hall or studio."));
    stage_.set_effect(request.effect());
    stage_.set_hide_score(request.hide_score());
    if (const auto show = facts_.shown.show_id(); show > 0)
        spawn("save_dress", [](core& home, std::int64_t of, std::string effect, bool hide) -> awaitable<void> {
            if (auto saved = co_await home.db.query(sql::save_dress, pg::with(of, effect, hide)); !saved) log::warn("rooms", "dress_not_saved", "show_id={} err={}", of, log::quoted(saved.error().message));
        }(p_.home, show, request.effect(), request.hide_score()));
    publish_stage();
    done(who, request_id);
}

void room::restore_dress(std::string effect, bool hide_score) {
    stage_.set_effect(std::move(effect));
    stage_.set_hide_score(hide_score);
}

void room::start_takes() {
    for (auto& s : seats_) {
        s.points = 0;
        start_take(s);
    }
}

// Scores this singer's part from here on, and keeps it where the singer wants that.
void room::start_take(seat& s) {
    if (stage_.performance_id() == 0) return;
    const bool is_host = &s == &seats_[host];
    const auto singer = is_host ? user_id(facts_.shown.singer_id()) : s.user;
    if (!singer) return;
    const performance_id performance(stage_.performance_id());
    if (s.records) {
        s.keeping = std::make_shared<recorder>(p_.home, p_.workers, p_.kept.part_file(performance, singer),
                                               std::vector<std::pair<std::string, std::string>>{{"TITLE", stage_.song_title()}, {"ARTIST", stage_.song_artist()}, {"PERFORMER", is_host ? facts_.shown.singer_name() : s.name}, {"OVATION_PERFORMANCE", std::to_string(performance.value)}, {"OVATION_SONG_HASH", song_hash_}});
        stage_.set_recorded(true);
        spawn("begin_recording", p_.kept.begin(performance, singer, s.voice, stage_.effect()));
    }
    if (!notes_) return;
    std::weak_ptr<room> weak = shared_from_this();
    s.scoring = std::make_shared<take>(take::parts{p_.home, p_.workers, performance_id(stage_.performance_id()), singer, song_hash_,
                                                   [weak, is_host](const v1::LineScore& line) {
                                                       const auto self = weak.lock();
                                                       if (!self || self->stage_.performance_id() != line.performance_id()) return;
                                                       self->seats_[is_host ? host : guest].points = line.points_so_far();
                                                       if (is_host) self->stage_.set_points(line.points_so_far());
                                                       v1::ServerFrame f;
                                                       *f.mutable_line_score() = line;
                                                       self->remember("line", self->timeline_.at_position(line.end()), user_id(line.singer_id()), 0, line);
                                                       self->publish(event_class::state, is_host ? key_line_score : key_guest_line_score, std::move(f));
                                                   }},
                                       notes_, songs::judge_options{songs::score_rules::ovation_1, level_, s.voice, 0}, backing_.of().high);
}

awaitable<void> room::finish_take(std::shared_ptr<take> of, int key) {
    auto total = co_await of->finish();
    if (!total) co_return;
    v1::ServerFrame f;
    *f.mutable_score_total() = std::move(*total);
    publish(event_class::state, key, std::move(f));
}

// One singer's part is over, the performance goes on.
void room::end_part(seat& s) {
    spawn("end_part", [](std::shared_ptr<room> self, std::shared_ptr<take> of, std::shared_ptr<recorder> kept, int key) -> awaitable<void> {
        if (of) co_await self->finish_take(std::move(of), key);
        if (kept) co_await kept->finish();
    }(shared_from_this(), std::exchange(s.scoring, nullptr), std::exchange(s.keeping, nullptr), &s == &seats_[host] ? key_score_total : key_guest_score_total));
}

// Totals first: the mix names the score.
void room::end_takes() {
    save_timeline();
    spawn("end_takes", [](std::shared_ptr<room> self, std::array<std::shared_ptr<take>, 2> of, std::array<std::shared_ptr<recorder>, 2> kept, bool recorded, performance_id performance, std::string effect) -> awaitable<void> {
        for (std::size_t i = 0; i < of.size(); ++i)
            if (of[i]) co_await self->finish_take(std::move(of[i]), i == host ? key_score_total : key_guest_score_total);
        for (auto& k : kept)
            if (k) co_await k->finish();
        if (recorded) co_await self->p_.kept.end(performance, std::move(effect));
    }(shared_from_this(), {std::exchange(seats_[host].scoring, nullptr), std::exchange(seats_[guest].scoring, nullptr)}, {std::exchange(seats_[host].keeping, nullptr), std::exchange(seats_[guest].keeping, nullptr)},
      stage_.recorded(), performance_id(stage_.performance_id()), stage_.effect()));
    stage_.set_recorded(false);
}

void room::control_song(const member_ptr& who, std::uint64_t request_id, const v1::ControlSong& control) {
    if (seats_[host].who != who) return refuse(who, request_id, precondition("not_on_stage", "Take the stage first."));
    if (stage_.performance_id() == 0) return refuse(who, request_id, precondition("no_song", "Pick a song first."));
    const auto here = position_now();
    stage_.clear_start_at_ms();
    // Labels that were on their way when the singer stopped do not set the song going again.
    still_until_ms_ = control.action() == v1::ControlSong::ACTION_PAUSE || control.action() == v1::ControlSong::ACTION_SEEK ? p_.clock.steady_ms() + still_ms : 0;
    switch (control.action()) {
        case v1::ControlSong::ACTION_PLAY:
            set_position(here);
            if (both_sit()) {
                // Both begin at one moment of the server's clock; the first voice to come sets the song going.
                stage_.set_state(v1::Stage::STATE_PAUSED);
                stage_.set_start_at_ms(p_.clock.now_ms() + limits::duet_start_ahead_ms);
                timeline_.expect_both(p_.clock.steady_ms() + limits::duet_start_ahead_ms + limits::sings_for_ms);
            } else {
                stage_.set_state(v1::Stage::STATE_PLAYING);
            }
            break;
        case v1::ControlSong::ACTION_PAUSE:
            set_position(here);
            stage_.set_state(v1::Stage::STATE_PAUSED);
            break;
        case v1::ControlSong::ACTION_SEEK:
            if (control.song_position() < position_min || control.song_position() > position_max) return refuse(who, request_id, invalid("song_position", "lies outside of any song."));
            set_position(control.song_position());
            if (both_sit()) stage_.set_state(v1::Stage::STATE_PAUSED);  // both begin there when `play` is said
            break;
        case v1::ControlSong::ACTION_STOP: stop_song(); break;
        default: return refuse(who, request_id, invalid("action", "play, pause, seek or stop."));
    }
    publish_stage();
    done(who, request_id);
}

void room::stop_song() {
    save_performance(true);
    stage_.set_performance_id(0);
    backing_.clear();
    stage_.set_song_id(0);
    stage_.clear_song_title();
    stage_.clear_song_artist();
    stage_.set_state(v1::Stage::STATE_READY);
    licensed_song_ = false;
    for (auto& s : seats_) s.route = {};
    timeline_.drop_waiting();
    set_position(0);
}

// A song that is over ends by itself: its total is told, what was kept is mixed, a bump is captured.
void room::end_song_when_over() {
    if (stage_.performance_id() == 0 || stage_.state() != v1::Stage::STATE_PLAYING || song_length_ <= 0) return;
    if (position_now() < song_length_ + limits::song_over_ms * samples_per_ms) return;
    stop_song();
    publish_stage();
}

void room::resume_show(left_off at) {
    singer_until_ms_ = p_.clock.steady_ms() + limits::stage_kept_ms;
    stage_.set_state(v1::Stage::STATE_RECONNECTING);
    stage_.set_singer_id(facts_.shown.singer_id());
    stage_.set_singer_name(facts_.shown.singer_name());
    stage_.set_performance_id(at.performance.value);
    stage_.set_song_id(at.song);
    stage_.set_song_title(std::move(at.title));
    stage_.set_song_artist(std::move(at.artist));
    stage_.set_key(at.key);
    licensed_song_ = at.performance.value != 0 && !at.public_domain;
    set_position(at.position);
    if (at.performance.value == 0) return;
    seats_[host].records = at.singer_recorded;
    seats_[guest].records = at.guest_recorded;
    // A recording goes on behind what it has, whatever the clock was before.
    if (at.singer_recorded || at.guest_recorded) timeline_.begin_at(p_.clock.now_ms() * samples_per_ms, p_.clock.steady_ms());
    // The lines sung before are judged no more: what was heard was in memory.
    spawn("load_song", [](std::shared_ptr<room> self, std::int64_t of, int in_key, songs::score_level level, int voice) -> awaitable<void> {
        auto loaded = co_await self->load_song(of, in_key, level);
        if (!loaded) co_return log::warn("rooms", "song_not_loaded", "song_id={} err={}", of, log::quoted(loaded.error().message));
        if (self->stage_.song_id() != of) co_return;  // the singer was quicker
        self->set_song(std::move(*loaded));
        self->give_voices(voice);
        self->start_takes();
    }(shared_from_this(), at.song, at.key, songs::level_named(at.level).value_or(songs::score_level::medium), at.host_voice));
}

void room::save_performance(bool ended) {
    saved_at_ms_ = p_.clock.steady_ms();
    if (stage_.performance_id() == 0) return;
    if (ended) {
        end_takes();
        end_bump();
    }
    spawn("save_performance", [](core& home, std::int64_t performance, std::int64_t position, bool over) -> awaitable<void> {
        if (auto saved = co_await home.db.query(sql::save_performance, pg::with(performance, position, over)); !saved)
            log::warn("rooms", "performance_not_saved", "performance_id={} err={}", performance, log::quoted(saved.error().message));
    }(p_.home, stage_.performance_id(), position_now(), ended));
}

awaitable<result<room::stage_answer>> room::stage_route(user_id to_singer) {
    const fault closed = precondition("room_closed", "The show is over. Nothing was charged.");
    if (facts_.shown.show_id() <= 0) co_return closed;
    const user_id singer = to_singer ? to_singer : user_id(facts_.shown.singer_id());
    if (!is_on_stage(singer)) co_return precondition("wrong_singer", "This singer is not on stage any more. Nothing was charged.");
    const auto at = is_singer(singer) ? host : guest;
    auto route = seats_[at].route;
    const auto performance = stage_.performance_id();
    const auto changes = p_.routes.changes();
    if (!route || changes != seats_[at].route_of_changes || p_.clock.steady_ms() >= seats_[at].route_until_ms) {
        OVATION_CO_TRY(const auto made, co_await p_.routes.make(facts_.channel, singer, licensed_song_ && stage_.performance_id() != 0));
        if (facts_.shown.show_id() == 0) co_return closed;
        route = made;
        if (performance == stage_.performance_id() && (at == host || seats_[guest].user == singer)) {
            seats_[at].route = made;
            seats_[at].route_until_ms = p_.clock.steady_ms() + limits::route_kept_ms;
            seats_[at].route_of_changes = changes;
        }
    }
    stage_answer out{route, singer, performance_id(stage_.performance_id()), std::nullopt};
    if (stage_.performance_id() != 0) out.song_position = position_now();
    co_return out;
}

// Gifts, chat and line scores of a performance that is being kept, where they were heard.
void room::remember(const char* kind, std::optional<timeline::moment> at, user_id user, std::int64_t entry_seq, const google::protobuf::Message& body) {
    if (!stage_.recorded() || !at) return;
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(body, &json).ok()) return;
    remembered_ += fmt::format("{}{{\"position\":{},\"media_time\":{},\"kind\":\"{}\",\"entry_seq\":{},\"user_id\":{},\"body\":{}}}", remembered_.empty() ? "" : ",", at->position, at->media_time, kind, entry_seq, user.value, json);
}
void room::save_timeline() {
    remembered_at_ms_ = p_.clock.steady_ms();
    if (remembered_.empty() || stage_.performance_id() == 0) return;
    spawn("save_timeline", [](core& home, std::int64_t performance, std::string rows) -> awaitable<void> {
        if (auto saved = co_await home.db.query(sql::save_timeline, pg::with(performance, rows)); !saved) log::warn("rooms", "timeline_not_saved", "performance_id={} err={}", performance, log::quoted(saved.error().message));
    }(p_.home, stage_.performance_id(), "[" + std::exchange(remembered_, {}) + "]"));
}

}  // namespace ovation::rooms
