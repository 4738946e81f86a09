#include "rooms/room.hpp"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "identity/access_gate.hpp"
#include "rooms/sql.hpp"

namespace ovation::rooms {
namespace {
constexpr std::int64_t presence_every_ms = 1'000;
constexpr std::int64_t supporters_every_ms = 2'000;
constexpr std::int64_t end_again_after_ms = 5'000;
constexpr std::int64_t timeline_every_ms = 1'000;
std::string json_of(const google::protobuf::Message& m) {
    std::string out;
    return google::protobuf::util::MessageToJsonString(m, &out).ok() ? out : "{}";
}
}  // namespace

room::room(room_parts parts, room_facts facts) : p_(parts), facts_(std::move(facts)), flush_timer_(parts.home.context), hold_timer_(parts.home.context), epoch_(crypto::random_token().substr(0, 12)) {
    entry_seq_ = p_.journal.announced().value;
    if (facts_.shown.show_id() > 0) p_.numbers.live_rooms.add(1);
    if (alone()) singer_until_ms_ = p_.clock.steady_ms() + limits::stage_kept_ms;
}

bool room::is_own_staff(const caller& who) const { return who.user && (is_singer(who.user) || facts_.helpers.contains(who.user) || who.user == facts_.agent); }
bool room::is_staff(const caller& who) const { return is_own_staff(who) || (who.user && who.roles.has(v1::ROLE_OPS)); }

v1::Room room::snapshot() const {
    auto out = facts_.shown;
    out.set_listeners(static_cast<std::int32_t>(members_.size()));
    out.set_song_id(stage_.song_id());
    out.set_song_title(stage_.song_title());
    out.set_playing(stage_.state() == v1::Stage::STATE_PLAYING);
    out.set_song_position(position_now());
    out.set_server_time_ms(p_.clock.now_ms());
    out.clear_helper_ids();
    for (const auto h : facts_.helpers) out.add_helper_ids(h.value);
    return out;
}

void room::spawn(std::string_view name, awaitable<void> task) {
    ++busy_;
    p_.home.tasks.spawn(name, [](std::shared_ptr<room> self, awaitable<void> body) -> awaitable<void> {
        co_await std::move(body);
        --self->busy_;
    }(shared_from_this(), std::move(task)));
}

// The staff's hand in queue and seats. What ops does there is written down with its reason, before and after.
awaitable<void> room::arrange(member_ptr who, v1::ClientFrame command) {
    const bool by_house = access_gate::of_house(who->who), queue = command.has_arrange_queue();
    if (by_house)
        if (auto said = access_gate::check_reason(command.reason()); !said) co_return refuse(who, command.request_id(), said.error());
    const auto now = [&] { return queue ? json_of(queue_now()) : json_of(stage_now()); };
    const auto before = now();
    auto changed = queue ? arrange_queue(command.arrange_queue()) : co_await arrange_seat(command.arrange_seat());
    if (!changed) co_return refuse(who, command.request_id(), changed.error());
    if (by_house) {
        const auto after = now();
        if (auto kept = co_await p_.home.db.query(sql::audit_live, pg::with(who->who.user, queue ? "arrange_queue" : "arrange_seat", facts_.shown.id(), command.reason(), before, after)); !kept) {
            // Done already: the log has what the trail has not.
            log::error("rooms", "act_not_audited", "room_id={} user_id={} reason={} before={} after={}", facts_.shown.id(), who->who.user.value, log::quoted(command.reason()), log::quoted(before), log::quoted(after));
            co_return refuse(who, command.request_id(), kept.error());
        }
    }
    done(who, command.request_id());
}

void room::handle(const member_ptr& who, granted proof, v1::ClientFrame command) {
    const auto request = command.request_id();
    switch (command.command_case()) {
        case v1::ClientFrame::kPing: {
            v1::ServerFrame f;
            f.set_request_id(request);
            f.mutable_pong()->set_sent_at_ms(command.ping().sent_at_ms());
            f.mutable_pong()->set_server_time_ms(p_.clock.now_ms());
            return reply(who, std::move(f));
        }
        case v1::ClientFrame::kSendChat: return chat(who, request, command.send_chat().text());
        case v1::ClientFrame::kSendGift:
            return spawn("send_gift", send_gift(who, std::move(proof), request, std::move(*command.mutable_send_gift())));
        case v1::ClientFrame::kTakeStage: return take_stage(who, request);
        case v1::ClientFrame::kLeaveStage: return leave_stage(who, request);
        case v1::ClientFrame::kPickSong: return spawn("pick_song", pick_song(who, request, command.pick_song()));
        case v1::ClientFrame::kControlSong: return control_song(who, request, command.control_song());
        case v1::ClientFrame::kMedia: return media(who, request, std::move(*command.mutable_media()));
        case v1::ClientFrame::kRequestSong: return spawn("request_song", request_song(who, request, std::move(*command.mutable_request_song())));
        case v1::ClientFrame::kCancelRequest: return cancel_request(who, request, command.cancel_request().id());
        case v1::ClientFrame::kArrangeQueue:
        case v1::ClientFrame::kArrangeSeat: return spawn("arrange", arrange(who, std::move(command)));
        case v1::ClientFrame::kTakeSeat: return take_seat(who, request, command.take_seat().record());
        case v1::ClientFrame::kLeaveSeat: return leave_seat(who, request);
        case v1::ClientFrame::kBumpRequest: return spawn("bump", bump(who, request, std::move(*command.mutable_bump_request())));
        case v1::ClientFrame::kSetStage: return set_stage(who, request, command.set_stage());
        case v1::ClientFrame::kSetQuality:
            who->low_rate = command.set_quality().low_rate();
            set_media(who, !command.set_quality().no_media());
            return done(who, request);
        case v1::ClientFrame::kEnter: return refuse(who, request, precondition("already_entered", "One socket is in one room. Open another one."));
        case v1::ClientFrame::COMMAND_NOT_SET: return refuse(who, request, invalid("command", "this frame carries no command that this server knows."));
    }
}

void room::done(const member_ptr& who, std::uint64_t request_id) {
    v1::ServerFrame f;
    f.set_request_id(request_id);
    f.mutable_done();
    reply(who, std::move(f));
}

void room::chat(const member_ptr& who, std::uint64_t request_id, const std::string& raw) {
    const std::string text(text::trim(raw));
    const auto length = text::characters(text);
    if (!length || *length == 0 || *length > limits::chat_characters_max || text::has_control(text))
        return refuse(who, request_id, invalid("text", "a message has 1 to 200 characters."));
    if (const auto m = facts_.muted_until_ms.find(who->who.user); m != facts_.muted_until_ms.end() && m->second > p_.clock.now_ms())
        return refuse(who, request_id, denied("muted", "The room's staff has muted you for a while."));
    std::string lower = text;
    for (auto& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    for (const auto& word : p_.refused_words)
        if (lower.find(word) != std::string::npos) return refuse(who, request_id, invalid("text", "this contains a word that is not used here. Say it in another way."));
    if (const auto wait = p_.chat_rate.take(who->who.user); wait > 0) return refuse(who, request_id, exhausted("chat_too_fast", "Slowly: one message a second.", wait));

    v1::ServerFrame f;
    auto& message = *f.mutable_chat();
    message.set_id(next_chat_++);
    message.set_user_id(who->who.user.value);
    message.set_name(who->who.name);
    message.set_text(text);
    message.set_at_ms(p_.clock.now_ms());
    if (is_on_stage(who->who.user)) message.set_tag("singer");
    else if (facts_.helpers.contains(who->who.user)) message.set_tag("helper");
    else if (is_staff(who->who)) message.set_tag("staff");
    chat_.push_back(message);
    if (chat_.size() > limits::chat_kept) chat_.pop_front();
    remember("chat", timeline_.newest(), who->who.user, 0, message);
    publish(event_class::chat, 0, std::move(f));
    if (request_id != 0) done(who, request_id);
}

awaitable<void> room::send_gift(member_ptr who, granted proof, std::uint64_t request_id, v1::SendGiftRequest request) {
    if (request.room_id() == 0) request.set_room_id(facts_.shown.id());
    if (request.room_id() != facts_.shown.id()) {
        refuse(who, request_id, invalid("room_id", "this socket is in another room."));
        co_return;
    }
    auto sent = co_await p_.gifts.send(std::move(proof), std::move(request));
    if (!sent) {
        refuse(who, request_id, sent.error());
        co_return;
    }
    v1::ServerFrame f;
    f.set_request_id(request_id);
    *f.mutable_gift_sent() = std::move(*sent);
    reply_soon(who, f);
}

void room::show_gift(std::shared_ptr<const v1::GiftShown> gift) {
    v1::ServerFrame f;
    *f.mutable_gift() = *gift;
    if (gift->performance_id() == stage_.performance_id()) remember("gift", gift->has_song_position() ? timeline_.at_position(gift->song_position()) : timeline_.newest(), user_id(gift->user_id()), gift->entry_seq(), *gift);
    supporters_stale_ = true;
    publish_numbered(std::move(f), gift->entry_seq());
}

void room::given_elsewhere(const v1::Ticker& line, std::int64_t channel) {
    const auto now = p_.clock.steady_ms();
    if (facts_.shown.show_id() <= 0 || (!line.everywhere() && facts_.channel.value != channel) || now < ticker_from_ms_) return;
    ticker_from_ms_ = now + limits::ticker_every_ms;
    v1::ServerFrame f;
    *f.mutable_ticker() = line;
    publish(event_class::chat, 0, std::move(f));
}

void room::show_opened(std::int64_t show, std::int64_t at_ms) {
    if (facts_.shown.show_id() == show) return;
    if (unended_show_ == show) unended_show_ = 0;  // its end was not written, and it goes on
    if (facts_.shown.show_id() == 0) p_.numbers.live_rooms.add(1);
    facts_.shown.set_show_id(show);
    facts_.shown.set_show_started_at_ms(at_ms);
    // A singer who does not come to the stage in time does not keep a room open for ever.
    singer_until_ms_ = seats_[host].who ? 0 : p_.clock.steady_ms() + limits::stage_kept_ms * 10;
    v1::ServerFrame f;
    f.mutable_show()->set_show_id(show);
    f.mutable_show()->set_open(true);
    publish(event_class::state, key_show, std::move(f));
}

awaitable<result<void>> room::end_show() {
    const auto show = facts_.shown.show_id();
    if (show == 0) co_return co_await write_end();
    // Closed for gifts first: whatever is sent from here on is refused before payment.
    facts_.shown.set_show_id(0);
    if (!alone()) p_.numbers.live_rooms.add(-1);
    save_performance(true);
    for (auto& s : seats_) s = {};
    seat_locked_ = true;
    invited_ = {};
    timeline_.drop_waiting();
    singer_until_ms_ = 0;
    const auto version = stage_.version();
    stage_ = {};
    stage_.set_version(version);
    media_kept_.clear();
    backing_.clear();
    publish_stage();
    end_queue(show);
    v1::ServerFrame f;
    f.mutable_show()->set_show_id(show);
    f.mutable_show()->set_open(false);
    publish(event_class::state, key_show, std::move(f));
    if (alone()) co_return result<void>{};
    unended_show_ = show;
    co_return co_await write_end();
}

// Until it is written, the tick asks for it again.
awaitable<result<void>> room::write_end() {
    const auto show = unended_show_;
    if (show == 0) co_return result<void>{};
    end_again_ms_ = p_.clock.steady_ms() + end_again_after_ms;
    if (auto ended = co_await p_.home.db.query(sql::end_show, pg::with(show)); !ended) {
        log::warn("rooms", "end_not_written", "room_id={} show_id={} err={}", facts_.shown.id(), show, log::quoted(ended.error().message));
        co_return ended.error();
    }
    if (unended_show_ == show) unended_show_ = 0;
    log::info("rooms", "show_ended", "room_id={} show_id={}", facts_.shown.id(), show);
    co_return result<void>{};
}

void room::helper_changed(user_id user, const std::string& name, bool removed) {
    if (removed) facts_.helpers.erase(user);
    else facts_.helpers.insert(user);
    restrained(user, name, "", 0, removed ? v1::Moderation::KIND_HELPER_REMOVED : v1::Moderation::KIND_HELPER_NAMED);
}

void room::restrained(user_id user, const std::string& name, const std::string& reason, std::int64_t until_ms, v1::Moderation::Kind kind) {
    if (kind == v1::Moderation::KIND_MUTED) facts_.muted_until_ms[user] = until_ms;
    if (kind == v1::Moderation::KIND_UNMUTED) facts_.muted_until_ms.erase(user);
    if (kind == v1::Moderation::KIND_KICKED) facts_.kicked_until_ms[user] = until_ms;
    v1::ServerFrame f;
    auto& m = *f.mutable_moderation();
    m.set_kind(kind);
    m.set_user_id(user.value);
    m.set_name(name);
    m.set_reason(reason);
    m.set_until_ms(until_ms);
    publish_numbered(std::move(f), 0);
    if (kind == v1::Moderation::KIND_KICKED) {
        if (seats_[guest].user == user) {
            empty_seat();
            publish_stage();
        }
        flush();
        close_sockets(user, {}, close_kicked, "kicked");
    }
}

void room::close_sockets(user_id user, session_id session, int code, std::string_view reason) {
    for (const auto& m : std::vector(members_))
        if (m->who.user == user && (!session || m->who.session == session) && m->out) m->out->close(code, reason);
}

void room::shut_down() {
    flush();
    save_performance(false);
    for (const auto& m : std::vector(members_))
        if (m->out) m->out->close(close_restart, "restart");
}

awaitable<void> room::refresh_supporters() {
    auto top = co_await p_.supporters.top_today(room_id(facts_.shown.id()));
    if (!top) co_return;
    // The boards may not have counted the gift yet that this was asked for: asked again.
    if (top->as_of_seq() < entry_seq_) supporters_stale_ = true;
    v1::ServerFrame f;
    *f.mutable_supporters() = std::move(*top);
    supporters_ = std::make_shared<v1::ServerFrame>(f);
    publish(event_class::state, key_supporters, std::move(f));
}

// Ten minutes of a show earn a free gift, whichever pages they were heard in.
void room::count_listening(std::int64_t now) {
    if (facts_.shown.show_id() <= 0) return listening_since_ms_.clear();
    std::unordered_set<user_id> here;
    for (const auto& m : members_)
        if (m->who.user && m->out && !is_on_stage(m->who.user)) here.insert(m->who.user);
    std::erase_if(listening_since_ms_, [&](const auto& entry) { return !here.contains(entry.first); });
    for (const auto user : here) {
        auto& since = listening_since_ms_.try_emplace(user, now).first->second;
        if (now - since < limits::free_gift_after_ms) continue;
        since = now;
        spawn("watched", p_.gifts.watched(user));
    }
}

void room::tick(std::int64_t now) {
    count_played(now);
    end_song_when_over();
    if (now - counted_at_ms_ >= 1'000) {
        counted_at_ms_ = now;
        count_listening(now);
    }
    const auto count = static_cast<std::int32_t>(members_.size());
    if (count != shown_listeners_ && now - presence_at_ms_ >= presence_every_ms) {
        shown_listeners_ = count;
        presence_at_ms_ = now;
        v1::ServerFrame f;
        f.mutable_presence()->set_listeners(count);
        f.mutable_presence()->set_version(now);
        publish(event_class::state, key_presence, std::move(f));
    }
    if (!remembered_.empty() && now - remembered_at_ms_ >= timeline_every_ms) save_timeline();
    if (supporters_stale_ && !alone() && !members_.empty() && now - supporters_at_ms_ >= supporters_every_ms) {
        supporters_stale_ = false;
        supporters_at_ms_ = now;
        spawn("supporters", refresh_supporters());
    }
    if (singer_until_ms_ != 0 && now >= singer_until_ms_ && facts_.shown.show_id() != 0) {
        log::info("rooms", "singer_did_not_return", "room_id={}", facts_.shown.id());
        spawn("end_show", [](std::shared_ptr<room> self) -> awaitable<void> { co_await self->end_show(); }(shared_from_this()));
    }
    if (unended_show_ != 0 && now >= end_again_ms_) {
        spawn("end_show", [](std::shared_ptr<room> self) -> awaitable<void> { co_await self->write_end(); }(shared_from_this()));
    }
    if (seats_[guest].until_ms != 0 && now >= seats_[guest].until_ms) {
        empty_seat();
        publish_stage();
    }
    if (stage_.performance_id() != 0 && now - saved_at_ms_ > 5'000) save_performance(false);
    for (const auto& m : std::vector(members_)) {
        if (!m->waiting.too_far_behind(now)) continue;
        p_.numbers.closed_behind.add();
        if (m->out) m->out->close(close_behind, "behind");
    }
    while (!history_.empty() && now - history_.front().at_ms > limits::history_ms) history_.pop_front();
}

}  // namespace ovation::rooms
