// What waits for one listener who is behind: references to shared frames, with a policy for each class of event
// (design.md section 4). A listener who keeps up has none.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "ovation/v1/live.pb.h"

namespace ovation::rooms {

using shared_bytes = std::shared_ptr<const std::string>;

enum class event_class { media, chat, state, gift };

struct waiting_frame {
    shared_bytes bytes;
    std::int64_t at_ms = 0;
    std::size_t offset = 0;  // bytes of it that have gone out
    std::shared_ptr<const v1::ServerFrame> media{};  // what a media frame was encoded from
};

class outbox {
public:
    // media_age_ms: the buffer that the listener declared + 400 ms, at most 2.5 s.
    explicit outbox(std::int64_t media_age_ms) : media_age_ms_(media_age_ms) {}

    // `key`: what a newer state of the same thing replaces.
    void push(event_class kind, int key, shared_bytes bytes, std::int64_t now_ms, std::shared_ptr<const v1::ServerFrame> media = {});
    // The rest of a frame that went out in part: must go first.
    void push_rest(event_class kind, shared_bytes bytes, std::size_t offset, std::int64_t now_ms) {
        partial_ = waiting_frame{std::move(bytes), now_ms, offset};
        partial_is_gift_ = kind == event_class::gift;
    }
    // The frame to send now; call sent() with what the socket took.
    waiting_frame* front(std::int64_t now_ms);
    void sent(std::size_t bytes);

    [[nodiscard]] bool empty() const { return !partial_ && gift_.empty() && state_.empty() && media_.empty() && chat_.empty() && skipped_chat_ == 0; }
    // Gift-class events may not be dropped: over its limit the listener must go and resume.
    [[nodiscard]] bool too_far_behind(std::int64_t now_ms) const;
    // Chat messages dropped since last asked, to be told.
    std::uint32_t take_skipped() { return std::exchange(skipped_chat_, 0); }
    // Media was dropped since last asked: what comes next must start a decoder.
    bool take_media_gap() { return std::exchange(media_gap_, false); }
    [[nodiscard]] std::size_t media_waiting() const { return media_.size(); }
    [[nodiscard]] std::uint64_t dropped_media() const { return dropped_media_; }

private:
    void trim(std::int64_t now_ms);
    std::int64_t media_age_ms_;
    std::optional<waiting_frame> partial_;  // on its way
    bool partial_is_gift_ = false;
    std::deque<waiting_frame> gift_, media_, chat_;
    std::map<int, waiting_frame> state_;
    std::deque<int> state_order_;
    std::size_t gift_bytes_ = 0;
    std::uint32_t skipped_chat_ = 0;
    std::uint64_t dropped_media_ = 0;
    bool media_gap_ = false;
};

}  // namespace ovation::rooms
