// What rooms/ must ask of folders that it may not include, and of the transport. Wired in server/.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/asio.hpp"
#include "base/fault.hpp"
#include "base/rpc.hpp"
#include "base/uuid.hpp"
#include "ovation/v1/live.pb.h"

namespace ovation::rooms {

// Who receives what is given to this singer in this channel (channels/, ledger/).
class route_maker {
public:
    virtual ~route_maker() = default;
    virtual awaitable<result<route_id>> make(channel_id channel, user_id singer, bool licensed_song) = 0;
    // Moves whenever a contract changes.
    virtual std::uint64_t changes() = 0;
};

struct missed_gifts {
    std::vector<v1::GiftShown> gifts;
    bool more = false;  // others are older than what is told again
};
// The money events that a room has shown, for clients that come back (gifts/).
class journal_view {
public:
    virtual ~journal_view() = default;
    virtual awaitable<result<missed_gifts>> gifts_since(room_id room, entry_seq after, int limit) = 0;
    // Everything up to here has been handed to the rooms.
    virtual entry_seq announced() = 0;
};

// Buys a gift for a member (gifts/).
class gift_counter {
public:
    virtual ~gift_counter() = default;
    virtual awaitable<result<v1::SendGiftResponse>> send(granted who, v1::SendGiftRequest request) = 0;
    // A member has listened to a show for another `limits::free_gift_after_ms`.
    virtual awaitable<void> watched(user_id user) = 0;
};

// What a bump is paid for: this request of this show.
struct bump_order {
    uuid key;
    user_id user;
    room_id room;
    show_id show;
    std::int64_t request = 0;
    std::int64_t coins = 0;
};
// A bump of a show that is paid for.
struct paid_bump {
    std::int64_t request = 0;
    user_id user;
    performance_id performance;  // 0: it waits in the queue
    route_id route;
    bool open = false;           // held; else captured
};
// Coins for bumps (gifts/): held before the queue moves; captured when the song has been sung, released when not.
class bump_counter {
public:
    virtual ~bump_counter() = default;
    // A new key is refused with `if_new` where there is one; true: the key is known and paid already.
    virtual awaitable<result<bool>> hold(bump_order order, std::optional<fault> if_new) = 0;
    // It is sung in this performance, and goes to these receivers.
    virtual awaitable<result<void>> sung_in(show_id show, std::int64_t request, performance_id performance, route_id route) = 0;
    virtual awaitable<result<void>> capture(show_id show, std::int64_t request, route_id route) = 0;
    virtual awaitable<result<void>> release(show_id show, std::int64_t request) = 0;
    virtual awaitable<result<std::vector<paid_bump>>> paid(show_id show) = 0;
};

class supporters_view {
public:
    virtual ~supporters_view() = default;
    virtual awaitable<result<v1::Supporters>> top_today(room_id room) = 0;
};

class wallet_view {
public:
    virtual ~wallet_view() = default;
    virtual awaitable<result<v1::Balance>> balance_of(user_id user) = 0;
};

// One WebSocket, as the fan-out sees it: a non-blocking send of shared bytes.
class pipe {
public:
    virtual ~pipe() = default;
    // Bytes taken, 0 when the socket is full; −1: broken.
    virtual std::ptrdiff_t write_some(std::string_view bytes) = 0;
    // Calls back once when the socket takes bytes again.
    virtual void wait_writable(std::function<void()> ready) = 0;
    // Sends a close frame when it can, and ends the connection.
    virtual void close(int code, std::string_view reason) = 0;
    // It has been told to go, and counts no more.
    [[nodiscard]] virtual bool closing() const = 0;
};

enum class encoding { proto, json };
// A whole WebSocket frame around one payload.
using framer = std::string (*)(encoding, std::string_view payload);

// Close codes of our own (4000–4999): what happened, and whether a client should come back.
enum close_code : int {
    close_session_ended = 4001,  // log-out or ban: do not come back with this log-in
    close_kicked = 4003,         // do not come back before the time is over
    close_behind = 4008,         // too far behind on gifts: come back with `resume`
    close_too_many = 4009,       // more sockets than one person may have
    close_restart = 4012,        // the server goes down: come back with `resume`
};

}  // namespace ovation::rooms
