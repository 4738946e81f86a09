// The singers' messages on one clock. Each publisher counts media time in its own samples; what the listeners get counts in
// the room's, so that a new page, a reconnection or a second singer needs nothing of them. Who leads sets where the song
// stands on it; a second singer's voice is laid at the same song position, held until both have come or 250 ms have passed
// (design.md section 4, "Duet").
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/limits.hpp"
#include "ovation/v1/live.pb.h"
#include "rooms/backing_feed.hpp"

namespace ovation::rooms {

inline constexpr std::int64_t packet_length = 960;
inline constexpr std::int64_t samples_per_ms = 48;
inline std::int64_t length_of(const v1::Media& m) { return static_cast<std::int64_t>(m.voice_size()) * packet_length; }

class timeline {
public:
    // A publisher's next message may count from anywhere.
    void new_publisher(std::size_t seat) { seats_[seat] = {}; }
    // Both are about to sing: wait for each other from the first message on.
    void expect_both(std::int64_t until_ms);
    // Restamps the message with the room's media time and says whose label leads. False: too late or out of place, a gap.
    bool place(v1::Media& message, std::size_t seat, std::int64_t now_ms);
    // After place(): what may go out now, in order. `other_sits`: somebody else is connected in the other seat and not muted.
    std::vector<v1::Media> pass(v1::Media message, std::size_t seat, bool other_sits, std::int64_t now_ms);
    // What has waited long enough.
    std::vector<v1::Media> due(bool both_sit, std::int64_t now_ms);
    void drop_waiting() { waiting_.clear(); }
    // The clock goes on from here: what was kept before a restart lies before it.
    void begin_at(std::int64_t media_time, std::int64_t now_ms) {
        begun_ = true;
        end_ = media_time;
        end_at_ms_ = now_ms;
    }
    // Where the song stands on the room's clock; none: nobody sings.
    struct moment {
        std::int64_t media_time = 0, position = 0;
    };
    [[nodiscard]] std::optional<moment> newest() const { return song_at_ ? std::optional(moment{end_, end_ - *song_at_}) : std::nullopt; }
    [[nodiscard]] std::optional<moment> at_position(std::int64_t position) const { return song_at_ ? std::optional(moment{position + *song_at_, position}) : std::nullopt; }
    // How far the second singer's voice comes behind the lead's of late, in samples, when it is too far for holding: once
    // every four seconds at most, so that what was sent before they moved is not told again.
    std::optional<std::int64_t> apart(std::int64_t now_ms);
    // When to ask again; nothing waits: none.
    [[nodiscard]] std::optional<std::int64_t> next_due_ms() const;
    [[nodiscard]] std::size_t lead() const { return lead_; }

private:
    struct seat_clock {
        std::optional<std::int64_t> shift;  // room − publisher
        std::int64_t covered = 0;           // song position up to which its voice has come
        std::int64_t sung_at_ms = -limits::sings_for_ms;
        std::int64_t performance = 0;
    };
    struct waiting {
        v1::Media message;
        std::size_t seat = 0;
        std::int64_t since_ms = 0;
        [[nodiscard]] std::int64_t end() const { return message.song_position() + length_of(message); }
    };
    [[nodiscard]] bool sings(std::size_t seat, std::int64_t now_ms) const;
    std::array<seat_clock, 2> seats_;
    std::size_t lead_ = 0;
    std::optional<std::int64_t> song_at_;  // media time − song position, of the lead's label
    std::int64_t song_performance_ = 0;
    std::int64_t end_ = 0;                 // room's media time up to which something was sent
    std::int64_t end_at_ms_ = 0;
    bool begun_ = false;
    std::int64_t released_ = INT64_MIN;    // song position up to which the lead's voice has gone out alone
    std::int64_t expected_until_ms_ = 0;
    std::deque<waiting> waiting_;          // by end
    std::vector<std::int64_t> behind_;     // of the second singer's last messages, in samples
    std::int64_t told_until_ms_ = 0;
};

}  // namespace ovation::rooms
