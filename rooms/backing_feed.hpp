// Joins the backing's packets to the singer's messages: each message carries the packets from a cursor up to those that
// begin before its end, each once (design.md section 4, "A voice"). Who enters, and who lost messages, gets one message
// rebuilt from an access point, so that a decoder can start there.
#pragma once
#include <cstdint>
#include <optional>

#include "ovation/v1/live.pb.h"
#include "songs/rendition.hpp"

namespace ovation::rooms {

// Media.flags: a label; a jump of it; a voice beside the one that leads the song.
inline constexpr std::uint32_t media_playing = 1, media_discontinuity = 2, media_accompanies = 4;

class backing_feed {
public:
    void set(songs::backing of);
    void clear();
    [[nodiscard]] bool empty() const { return !of_.high; }
    [[nodiscard]] const songs::backing& of() const { return of_; }

    // Adds what belongs to this message; the cursor moves on.
    void attach(v1::Media& message);
    // The same message with the 48 kb/s rendition's packets.
    [[nodiscard]] v1::Media in_low(const v1::Media& message) const;
    // The same message with packets from the access point at least one packet before the one that covers its begin.
    [[nodiscard]] v1::Media rebuilt(const v1::Media& message, bool low) const;

private:
    void fill(v1::Media& message, std::int64_t first, std::int64_t end, bool low) const;
    songs::backing of_;
    std::int64_t cursor_ = 0;
    std::optional<std::int64_t> expected_;
};

}  // namespace ovation::rooms
