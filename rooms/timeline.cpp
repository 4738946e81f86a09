#include "rooms/timeline.hpp"

#include <algorithm>
#include <cstdlib>

namespace ovation::rooms {
namespace {
constexpr std::int64_t jump = packet_length;                    // a label further off than this begins a new segment
constexpr std::size_t judged_by = 32;                           // messages: two seconds
constexpr std::int64_t apart_max = 1'000 * samples_per_ms;      // a second singer further away than this is elsewhere in the song
}  // namespace

bool timeline::sings(std::size_t seat, std::int64_t now) const {
    return now < expected_until_ms_ || (seats_[seat].performance == song_performance_ && now - seats_[seat].sung_at_ms < limits::sings_for_ms);
}

void timeline::expect_both(std::int64_t until_ms) {
    expected_until_ms_ = until_ms;
    released_ = INT64_MIN;
    waiting_.clear();
    behind_.clear();
    for (auto& s : seats_) s.covered = INT64_MIN;
}

bool timeline::place(v1::Media& m, std::size_t seat, std::int64_t now) {
    auto& s = seats_[seat];
    const auto here = begun_ ? end_ + std::max<std::int64_t>(0, now - end_at_ms_) * samples_per_ms : m.media_time();
    // The first of a publisher goes on behind what was sent; a page's clock that jumped is a new one.
    if (!s.shift || std::llabs(m.media_time() + *s.shift - here) > limits::clock_jump_ms * samples_per_ms) s.shift = here - m.media_time();
    auto at = m.media_time() + *s.shift;
    const bool labelled = m.has_song_position();
    std::uint32_t flags = labelled ? media_playing : 0;
    if (!labelled && seat == lead_) song_at_.reset();
    if (labelled) {
        const bool lead_is_gone = lead_ != seat && (!song_at_ || song_performance_ != m.performance_id() || !sings(lead_, now));
        if (lead_is_gone || lead_ == seat) {
            lead_ = seat;
            const auto song_at = at - m.song_position();
            if (!song_at_ || std::llabs(song_at - *song_at_) > jump || song_performance_ != m.performance_id()) {
                flags |= media_discontinuity;
                if (now >= expected_until_ms_) released_ = INT64_MIN;
            }
            song_at_ = song_at;
            song_performance_ = m.performance_id();
        } else {
            const auto& lead = seats_[lead_];
            if (now >= expected_until_ms_) behind_.push_back(lead.covered + (now - lead.sung_at_ms) * samples_per_ms - m.song_position() - length_of(m));
            at = m.song_position() + *song_at_;
            if (std::llabs(at - here) > apart_max) return false;
            s.shift = at - m.media_time();
            if (seat == 0) behind_.clear();
            if (seat == 0) lead_ = 0;  // the room's singer leads as soon as they are there; the song stays where it is
        }
        s.sung_at_ms = now;
        s.performance = m.performance_id();
        s.covered = m.song_position() + length_of(m);
    }
    m.set_media_time(at);
    m.set_flags(flags | (seat == lead_ ? 0 : media_accompanies));
    begun_ = true;
    if (at + length_of(m) > end_ || std::llabs(at - end_) > limits::clock_jump_ms * samples_per_ms) {
        end_ = at + length_of(m);
        end_at_ms_ = now;
    }
    return true;
}

std::vector<v1::Media> timeline::pass(v1::Media m, std::size_t seat, bool other_sits, std::int64_t now) {
    if (!m.has_song_position()) {
        auto out = due(false, now);
        out.push_back(std::move(m));
        return out;
    }
    const auto end = m.song_position() + length_of(m);
    // The lead's voice of this place has gone out without it. Who leads is always heard.
    if (other_sits && seat != lead_ && end <= released_) return due(true, now);
    waiting one{std::move(m), seat, now};
    auto at = std::ranges::upper_bound(waiting_, end, {}, &waiting::end);
    waiting_.insert(at, std::move(one));
    return due(other_sits, now);
}

std::vector<v1::Media> timeline::due(bool both_sit, std::int64_t now) {
    std::vector<v1::Media> out;
    while (!waiting_.empty()) {
        auto& first = waiting_.front();
        const auto other = 1 - first.seat;
        const bool wait = both_sit && sings(other, now) && seats_[other].covered < first.end() && now - first.since_ms < limits::duet_hold_ms;
        if (wait) break;
        if (first.seat == lead_ && seats_[other].covered < first.end()) released_ = std::max(released_, first.end());
        out.push_back(std::move(first.message));
        waiting_.pop_front();
    }
    return out;
}

std::optional<std::int64_t> timeline::apart(std::int64_t now) {
    if (behind_.size() < judged_by) return std::nullopt;
    const auto middle = behind_.begin() + judged_by / 2;
    std::ranges::nth_element(behind_, middle);
    const auto found = *middle;
    behind_.clear();
    if (std::llabs(found) <= limits::duet_apart_ms * samples_per_ms || now < told_until_ms_) return std::nullopt;
    told_until_ms_ = now + limits::duet_told_every_ms;
    return found;
}

std::optional<std::int64_t> timeline::next_due_ms() const {
    if (waiting_.empty()) return std::nullopt;
    return waiting_.front().since_ms + limits::duet_hold_ms;
}

}  // namespace ovation::rooms
