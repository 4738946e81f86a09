#include "rooms/backing_feed.hpp"

#include <algorithm>
#include <cstdlib>

#include "songs/ogg_opus.hpp"

namespace ovation::rooms {
namespace {
using songs::opus_pre_skip;
using songs::packet_samples;
constexpr std::int64_t overlap_max = 6 * packet_samples;

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
// The packet whose decoded samples hold this position.
std::int64_t covering(std::int64_t position) { return floor_div(position + opus_pre_skip, packet_samples); }
std::int64_t access_point(std::int64_t position) {
    return std::max<std::int64_t>(0, floor_div(covering(position) - 1, songs::access_point_every) * songs::access_point_every);
}
std::int64_t end_of(const v1::Media& m) { return m.song_position() + static_cast<std::int64_t>(m.voice_size()) * packet_samples; }
// First packet that begins at or behind this position.
std::int64_t begins_from(std::int64_t position) { return std::max<std::int64_t>(0, floor_div(position + opus_pre_skip + packet_samples - 1, packet_samples)); }
}  // namespace

void backing_feed::set(songs::backing of) {
    of_ = std::move(of);
    cursor_ = 0;
    expected_.reset();
}
void backing_feed::clear() { set({}); }

void backing_feed::fill(v1::Media& message, std::int64_t first, std::int64_t end, bool low) const {
    const auto& from = *(low ? of_.low : of_.high);
    message.clear_backing();
    message.set_rendition(static_cast<std::uint32_t>(from.id));
    message.set_backing_first(static_cast<std::uint32_t>(first));
    for (auto i = first; i < std::min(end, static_cast<std::int64_t>(from.packets.size())); ++i) message.add_backing(from.packets[static_cast<std::size_t>(i)]);
}

void backing_feed::attach(v1::Media& message) {
    if (empty() || !message.has_song_position()) {
        if ((message.flags() & media_accompanies) == 0) expected_.reset();
        return;
    }
    // The two voices of a duet lie over each other: whichever goes first carries the backing.
    const auto off = expected_ ? message.song_position() - *expected_ : 0;
    const bool jumped = !expected_ || off > packet_samples || off < -overlap_max || (message.flags() & media_discontinuity) != 0;
    if (jumped) cursor_ = access_point(message.song_position());
    const auto end = std::max(cursor_, begins_from(end_of(message)));
    fill(message, cursor_, end, false);
    cursor_ = end;
    expected_ = jumped ? end_of(message) : std::max(*expected_, end_of(message));
}

v1::Media backing_feed::in_low(const v1::Media& message) const {
    v1::Media out = message;
    if (of_.low && message.rendition() != 0) fill(out, message.backing_first(), static_cast<std::int64_t>(message.backing_first()) + message.backing_size(), true);
    return out;
}

v1::Media backing_feed::rebuilt(const v1::Media& message, bool low) const {
    v1::Media out = message;
    if (!empty() && message.has_song_position()) fill(out, access_point(message.song_position()), begins_from(end_of(message)), low);
    return out;
}

}  // namespace ovation::rooms
