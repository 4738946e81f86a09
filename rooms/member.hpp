// One person's (or guest's) socket in a room.
#pragma once
#include "base/limits.hpp"
#include "base/rpc.hpp"
#include "rooms/outbox.hpp"
#include "rooms/views.hpp"

namespace ovation::rooms {

struct member {
    member(caller c, encoding e, pipe& p, bool media, std::int64_t buffer_ms, bool low)
        : who(std::move(c)),
          wire(e),
          out(&p),
          wants_media(media && e == encoding::proto),
          low_rate(low),
          waiting(std::min(buffer_ms + limits::media_behind_extra_ms, limits::media_behind_ms_max)) {}

    caller who;
    encoding wire;
    pipe* out;  // null once the connection is gone
    bool wants_media;
    bool low_rate;                  // asked for the 48 kb/s rendition
    std::int64_t low_until_ms = 0;  // was behind: low for a while
    bool had_low = false;           // what the last media message carried
    bool media_gap = false;         // the next media message must start a decoder
    outbox waiting;
    std::string answers;    // of this turn of the loop, encoded
    bool writing = false;   // a wake-up for a full socket is on its way
    // Gifts up to here were told from the books when this member came back; their announcements may still be on the way.
    std::int64_t told_seq = 0;
    bool joining = false;   // welcome has not been sent: live events are held back
    std::vector<std::pair<std::int64_t, std::shared_ptr<const v1::ServerFrame>>> held;  // entry_seq (0: none), frame
    token_bucket media_messages{limits::media_messages_per_publisher};
    token_bucket media_bytes{limits::media_bytes_per_publisher};
};
using member_ptr = std::shared_ptr<member>;

}  // namespace ovation::rooms
