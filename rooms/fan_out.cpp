// Encoding once, sending to all. Who keeps up gets the whole flush as one non-blocking send of shared bytes; who does not
// gets references in an outbox and is drained when the socket takes bytes again.
#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "rooms/room.hpp"

namespace ovation::rooms {
namespace {
constexpr std::size_t at_once_below = 200;     // listeners: flush without a tick
constexpr std::int64_t tick_ms_max = 50;
constexpr std::size_t full_tick_at = 5'000;

// The renditions differ in media messages only.
enum variant : std::size_t { proto_media = 0, proto_plain = 1, json_plain = 2, proto_media_low = 3 };
constexpr std::size_t media_behind_low = 4;      // messages waiting: 240 ms, then 48 kb/s
constexpr std::int64_t low_for_ms = 15'000;
bool is_low(const member& m, std::int64_t now) { return m.low_rate || now < m.low_until_ms; }
variant variant_of(const member& m, std::int64_t now) {
    if (m.wire == encoding::json) return json_plain;
    return !m.wants_media ? proto_plain : is_low(m, now) ? proto_media_low : proto_media;
}
bool takes_media(variant v) { return v == proto_media || v == proto_media_low; }
}  // namespace

shared_bytes room::encode(encoding e, const v1::ServerFrame& frame) const {
    std::string payload;
    if (e == encoding::json) {
        google::protobuf::util::JsonPrintOptions options;
        options.preserve_proto_field_names = false;
        if (!google::protobuf::util::MessageToJsonString(frame, &payload, options).ok()) payload = "{}";
    } else {
        frame.SerializeToString(&payload);
    }
    return std::make_shared<const std::string>(p_.frame(e, payload));
}

void room::publish(event_class kind, int key, v1::ServerFrame frame, std::int64_t entry_seq) {
    event e{kind, key, entry_seq, std::make_shared<const v1::ServerFrame>(std::move(frame))};
    if (kind == event_class::media) {
        media_kept_.push_back(e);
        if (media_kept_.size() > limits::media_kept_for_joiner) media_kept_.pop_front();
    }
    pending_.push_back(std::move(e));
    if (kind == event_class::media || members_.size() < at_once_below) {
        if (kind == event_class::media) return flush();
        if (flush_due_) return;
        flush_due_ = true;
        // After what else this turn of the loop brings.
        asio::post(p_.home.context, [self = shared_from_this()] {
            self->flush_due_ = false;
            self->flush();
        });
        return;
    }
    if (flush_due_) return;
    flush_due_ = true;
    flush_timer_.expires_after(std::chrono::milliseconds(tick_ms_max * static_cast<std::int64_t>(std::min(members_.size(), full_tick_at)) / static_cast<std::int64_t>(full_tick_at)));
    flush_timer_.async_wait([self = shared_from_this()](error_code) {
        self->flush_due_ = false;
        self->flush();
    });
}

void room::publish_numbered(v1::ServerFrame frame, std::int64_t entry_seq) {
    frame.set_offset(++offset_);
    entry_seq_ = std::max(entry_seq_, entry_seq);
    history_.push_back({p_.clock.steady_ms(), std::make_shared<const v1::ServerFrame>(frame)});
    if (history_.size() > limits::history_events_max) history_.pop_front();
    publish(event_class::gift, 0, std::move(frame), entry_seq);
}

void room::flush() {
    if (!sending_.empty() || pending_.empty()) return;  // a flush under way takes the rest along when it ends
    sending_.swap(pending_);
    sending_bytes_.assign(sending_.size(), {});
    batch_ = {};
    next_member_ = 0;
    sending_until_ = members_.size();  // who joins from here on has it in the snapshot
    send_slice();
}

// Everything published so far goes out now: whoever is welcomed next has it in the snapshot and must not get it twice.
void room::settle() {
    while (!sending_.empty() || !pending_.empty()) {
        if (sending_.empty()) flush();
        while (!sending_.empty()) send_some(sending_until_);
    }
}

void room::send_slice() {
    if (sending_.empty()) return;  // settled meanwhile
    send_some(std::min(sending_until_, next_member_ + limits::sends_per_slice));
    if (!sending_.empty()) asio::post(p_.home.context, [self = shared_from_this()] { self->send_slice(); });
    else if (!pending_.empty()) flush();
}

void room::send_some(std::size_t until) {
    const auto now = p_.clock.steady_ms();
    for (; next_member_ < until; ++next_member_) {
        const auto who = members_[next_member_];
        if (!who->out) continue;
        if (who->joining) {
            for (const auto& e : sending_)
                if (e.kind == event_class::gift || e.kind == event_class::chat) who->held.emplace_back(e.entry_seq, e.frame);
            continue;
        }
        if (who->wants_media && who->waiting.media_waiting() >= media_behind_low) who->low_until_ms = now + low_for_ms;
        const auto v = variant_of(*who, now);
        const auto wire = v == json_plain ? encoding::json : encoding::proto;
        if (takes_media(v) && std::exchange(who->had_low, v == proto_media_low) != (v == proto_media_low)) who->media_gap = true;
        const auto bytes_of = [&](std::size_t i) -> shared_bytes& {
            const bool low = v == proto_media_low && sending_[i].kind == event_class::media;
            auto& b = sending_bytes_[i][low ? 2 : static_cast<std::size_t>(wire)];
            if (!b) b = low ? encode(wire, in_low(*sending_[i].frame)) : encode(wire, *sending_[i].frame);
            return b;
        };
        if (who->told_seq != 0) {
            // Seldom: just after coming back. One by one, without what the books have told already.
            for (std::size_t i = 0; i < sending_.size(); ++i) {
                const auto& e = sending_[i];
                if ((e.kind == event_class::media && !takes_media(v)) || (e.entry_seq != 0 && e.entry_seq <= who->told_seq)) continue;
                if (e.entry_seq > who->told_seq) who->told_seq = 0;
                send_now(who, bytes_of(i), e.kind, e.key, e.kind == event_class::media ? e.frame : nullptr);
            }
            continue;
        }
        if (!who->waiting.empty() || (who->media_gap && takes_media(v))) {
            for (std::size_t i = 0; i < sending_.size(); ++i) {
                const bool media = sending_[i].kind == event_class::media;
                if (takes_media(v) || !media) who->waiting.push(sending_[i].kind, sending_[i].key, bytes_of(i), now, media ? sending_[i].frame : nullptr);
            }
            drain(who);
            continue;
        }
        if (!batch_[v]) {
            auto all = std::make_shared<std::string>();
            for (std::size_t i = 0; i < sending_.size(); ++i)
                if (takes_media(v) || sending_[i].kind != event_class::media) *all += *bytes_of(i);
            batch_[v] = std::move(all);
        }
        if (batch_[v]->empty()) continue;
        p_.numbers.frames.add();
        auto taken = who->out->write_some(*batch_[v]);
        if (taken < 0 || static_cast<std::size_t>(taken) == batch_[v]->size()) continue;
        // Behind from here on: the cut frame first, then the rest by class.
        auto left = static_cast<std::size_t>(taken);
        for (std::size_t i = 0; i < sending_.size(); ++i) {
            if (!takes_media(v) && sending_[i].kind == event_class::media) continue;
            const auto& bytes = bytes_of(i);
            if (left >= bytes->size()) left -= bytes->size();
            else if (left > 0) {
                who->waiting.push_rest(sending_[i].kind, bytes, left, now);
                left = 0;
            } else who->waiting.push(sending_[i].kind, sending_[i].key, bytes, now, sending_[i].kind == event_class::media ? sending_[i].frame : nullptr);
        }
        drain(who);
    }
    if (next_member_ < sending_until_) return;
    sending_.clear();
    sending_bytes_.clear();
    batch_ = {};
}

void room::drain(const member_ptr& who) {
    if (who->writing || !who->out) return;
    while (true) {
        const auto now = p_.clock.steady_ms();
        auto* next = who->waiting.front(now);
        if (!next) {
            const auto skipped = who->waiting.take_skipped();
            if (skipped == 0) return;
            v1::ServerFrame f;
            f.mutable_chat_skipped()->set_count(skipped);
            who->waiting.push(event_class::state, -1, encode(who->wire, f), now);
            continue;
        }
        if (next->media && next->offset == 0 && (who->waiting.take_media_gap() || std::exchange(who->media_gap, false))) {
            who->media_gap = false;
            v1::ServerFrame whole;
            *whole.mutable_media() = backing_.rebuilt(next->media->media(), who->had_low);
            next->bytes = encode(who->wire, whole);
        }
        const auto taken = who->out->write_some(std::string_view(*next->bytes).substr(next->offset));
        if (taken < 0) return;
        if (taken > 0) who->waiting.sent(static_cast<std::size_t>(taken));
        else {
            who->writing = true;
            who->out->wait_writable([self = shared_from_this(), who] {
                who->writing = false;
                self->drain(who);
            });
            return;
        }
    }
}

v1::ServerFrame room::in_low(const v1::ServerFrame& frame) const {
    v1::ServerFrame out;
    *out.mutable_media() = backing_.in_low(frame.media());
    return out;
}

void room::send_now(const member_ptr& who, const shared_bytes& bytes, event_class kind, int key, std::shared_ptr<const v1::ServerFrame> media) {
    if (!who->out) return;
    who->waiting.push(kind, key, bytes, p_.clock.steady_ms(), std::move(media));
    drain(who);
}

// Answers are never dropped; they keep the order of the gift class.
void room::reply(const member_ptr& who, v1::ServerFrame frame) {
    if (who->out) send_now(who, encode(who->wire, frame), event_class::gift, 0);
}

// What a commit answers to one sender goes out together.
void room::reply_soon(const member_ptr& who, const v1::ServerFrame& frame) {
    if (!who->out) return;
    const bool first = who->answers.empty();
    who->answers += *encode(who->wire, frame);
    if (first)
        asio::post(p_.home.context, [self = shared_from_this(), who] { self->send_now(who, std::make_shared<const std::string>(std::exchange(who->answers, {})), event_class::gift, 0); });
}

v1::ServerFrame refusal(std::uint64_t request_id, const fault& why) {
    v1::ServerFrame f;
    f.set_request_id(request_id);
    auto& r = *f.mutable_refused();
    r.set_code(std::string(code_name(why.kind)));
    r.set_message(why.told());
    r.mutable_detail()->set_reason(why.reason);
    r.mutable_detail()->set_retryable(why.retryable);
    r.mutable_detail()->set_retry_after_ms(why.retry_after_ms);
    if (pg::sqlstate(why).empty()) r.mutable_detail()->set_field(why.field);
    return f;
}

void room::refuse(const member_ptr& who, std::uint64_t request_id, const fault& why) { reply(who, refusal(request_id, why)); }

}  // namespace ovation::rooms
