// Song requests: asking, taking back, what staff may do, and the queue as all see it.
#include <google/protobuf/util/json_util.h>

#include "base/log.hpp"
#include "base/text.hpp"
#include "rooms/room.hpp"
#include "rooms/sql.hpp"

namespace ovation::rooms {
namespace {
constexpr std::size_t name_characters_max = 40;
}  // namespace

v1::Queue room::queue_now() const {
    const auto rest = stage_.performance_id() != 0 ? std::max<std::int64_t>(0, (song_length_ - position_now()) / 48) : 0;
    auto out = queue_.shown(rest);
    out.set_version(queue_version_);
    out.set_bump_price_coins(facts_.shown.bump_price_coins());
    out.set_bumps_left(bumps_left());
    return out;
}

awaitable<void> room::save_queue() {
    const auto show = facts_.shown.show_id();
    std::string json;
    if (show == 0 || !google::protobuf::util::MessageToJsonString(queue_now(), &json).ok()) co_return;
    if (auto saved = co_await p_.home.db.query(sql::save_queue, pg::with(show, json, queue_version_)); !saved) log::warn("rooms", "queue_not_saved", "show_id={} err={}", show, log::quoted(saved.error().message));
}

void room::publish_queue() {
    ++queue_version_;
    v1::ServerFrame f;
    *f.mutable_queue() = queue_now();
    publish(event_class::state, key_queue, std::move(f));
    spawn("save_queue", save_queue());
}

void room::restore_queue(const std::string& json) {
    v1::Queue from;
    if (!json.empty() && google::protobuf::util::JsonStringToMessage(json, &from).ok()) {
        queue_.restore(from);
        queue_version_ = from.version();
    }
}

std::optional<fault> room::too_many_requests(const member_ptr& who) {
    if (is_own_staff(who->who)) return std::nullopt;
    const auto wait = p_.request_rate.take(who->who.user);
    return wait > 0 ? std::optional(exhausted("too_many_commands", "Too many requests at once. Nothing of this one was done.", wait)) : std::nullopt;
}

awaitable<void> room::request_song(member_ptr who, std::uint64_t request_id, v1::RequestSong request) {
    if (facts_.shown.show_id() <= 0) co_return refuse(who, request_id, precondition("room_closed", "The show is not open. Ask again when it is."));
    if (const auto why = too_many_requests(who)) co_return refuse(who, request_id, *why);
    const std::string name(text::trim(request.for_name()));
    if (!name.empty() && !is_own_staff(who->who)) co_return refuse(who, request_id, denied("not_staff", "Only the room's staff asks for somebody else."));
    if (const auto length = text::characters(name); !length || *length > name_characters_max || text::has_control(name)) co_return refuse(who, request_id, invalid("for_name", "a name has 1 to 40 characters."));
    if (request.key() < songs::key_min || request.key() > songs::key_max) co_return refuse(who, request_id, invalid("key", "-6 to 6 semitones."));
    auto song = co_await p_.home.db.query(sql::song_to_sing, pg::with(request.song_id()));
    if (!song) co_return refuse(who, request_id, song.error());
    if (song->empty()) co_return refuse(who, request_id, not_found("This song"));
    song_queue::request one{0, name.empty() ? who->who.user : user_id(), name.empty() ? who->who.name : name, request.song_id(), song->string(0, 0), song->string(0, 1), request.key(), song->number(0, 9) / 48, false};
    if (auto added = queue_.add(std::move(one)); !added) co_return refuse(who, request_id, added.error());
    publish_queue();
    done(who, request_id);
}

void room::cancel_request(const member_ptr& who, std::uint64_t request_id, std::int64_t id) {
    const auto* r = queue_.find(id);
    if (!r) return refuse(who, request_id, not_found("This request"));
    if (r->user != who->who.user && !is_own_staff(who->who)) return refuse(who, request_id, denied("not_yours", "This is somebody else's request."));
    if (const auto why = too_many_requests(who)) return refuse(who, request_id, *why);
    if (const auto gone = queue_.take(id)) drop_bump(*gone);
    publish_queue();
    done(who, request_id);
}

result<void> room::arrange_queue(const v1::ArrangeQueue& request) {
    // The next skip forgets the last one: that request does not come back.
    std::optional<song_queue::request> forgotten;
    if (request.action() == v1::ArrangeQueue::ACTION_SKIP && queue_.skipped()) forgotten = *queue_.skipped();
    auto changed = [&]() -> result<void> {
        switch (request.action()) {
            case v1::ArrangeQueue::ACTION_MOVE: return queue_.move(request.id(), request.index());
            case v1::ArrangeQueue::ACTION_SKIP: return queue_.skip(request.id());
            case v1::ArrangeQueue::ACTION_UNDO_SKIP: return queue_.undo_skip();
            case v1::ArrangeQueue::ACTION_HOLD: return queue_.hold(request.id(), true);
            case v1::ArrangeQueue::ACTION_RELEASE: return queue_.hold(request.id(), false);
            default: return invalid("action", "move, skip, undo_skip, hold or release.");
        }
    }();
    if (!changed) return changed;
    if (forgotten) drop_bump(*forgotten);
    publish_queue();
    return {};
}

}  // namespace ovation::rooms
