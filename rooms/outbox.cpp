#include "rooms/outbox.hpp"

#include "base/limits.hpp"

namespace ovation::rooms {

void outbox::push(event_class kind, int key, shared_bytes bytes, std::int64_t now_ms, std::shared_ptr<const v1::ServerFrame> media) {
    waiting_frame frame{std::move(bytes), now_ms, 0, std::move(media)};
    switch (kind) {
        case event_class::gift:
            gift_bytes_ += frame.bytes->size();
            gift_.push_back(std::move(frame));
            break;
        case event_class::state:
            // The newest of its key, in the place of the older one.
            if (!state_.contains(key)) state_order_.push_back(key);
            state_[key] = std::move(frame);
            break;
        case event_class::media: media_.push_back(std::move(frame)); break;
        case event_class::chat: chat_.push_back(std::move(frame)); break;
    }
    trim(now_ms);
}

void outbox::trim(std::int64_t now_ms) {
    while (!media_.empty() && now_ms - media_.front().at_ms > media_age_ms_) {
        media_.pop_front();
        ++dropped_media_;
        media_gap_ = true;
    }
    while (!chat_.empty() && (chat_.size() > limits::chat_behind_frames_max || now_ms - chat_.front().at_ms > limits::chat_behind_ms_max)) {
        chat_.pop_front();
        ++skipped_chat_;
    }
}

waiting_frame* outbox::front(std::int64_t now_ms) {
    if (partial_) return &*partial_;
    trim(now_ms);
    partial_is_gift_ = !gift_.empty();
    // Money and moderation first, then what stands on stage, then sound, then talk.
    if (!gift_.empty()) {
        partial_ = std::move(gift_.front());
        gift_.pop_front();
        gift_bytes_ -= partial_->bytes->size();
    } else if (!state_order_.empty()) {
        const int key = state_order_.front();
        state_order_.pop_front();
        partial_ = std::move(state_.at(key));
        state_.erase(key);
    } else if (!media_.empty()) {
        partial_ = std::move(media_.front());
        media_.pop_front();
    } else if (!chat_.empty()) {
        partial_ = std::move(chat_.front());
        chat_.pop_front();
    } else {
        return nullptr;
    }
    return &*partial_;
}

void outbox::sent(std::size_t bytes) {
    partial_->offset += bytes;
    if (partial_->offset == partial_->bytes->size()) partial_.reset();
}

bool outbox::too_far_behind(std::int64_t now_ms) const {
    if (partial_ && partial_is_gift_ && now_ms - partial_->at_ms > limits::gift_class_behind_ms_max) return true;
    if (gift_.empty()) return false;
    return gift_bytes_ > limits::gift_class_behind_bytes_max || now_ms - gift_.front().at_ms > limits::gift_class_behind_ms_max;
}

}  // namespace ovation::rooms
