// GiftService: the catalogue, sending, asking after a send, boards.
#pragma once
#include <atomic>
#include <mutex>
#include <unordered_set>

#include "base/cores.hpp"
#include "base/limits.hpp"
#include "base/rpc.hpp"
#include "gifts/announcer.hpp"
#include "gifts/boards.hpp"
#include "gifts/catalogue.hpp"
#include "ledger/posting_queue.hpp"
#include "ovation/v1/gift.pb.h"

namespace ovation::gifts {

// Who is on stage, and by which contract: asked of rooms/ through the wiring.
struct stage_route {
    route_id route;
    user_id singer;
    performance_id performance;
    std::optional<std::int64_t> song_position;
};
class route_source {
public:
    virtual ~route_source() = default;
    // Refusals: not_found, room_closed, wrong_singer.
    virtual awaitable<result<stage_route>> route_of(room_id room, user_id to_singer) = 0;
    // Of a published recording. Refusals: not_found, wrong_singer.
    virtual awaitable<result<stage_route>> route_of_recording(std::int64_t recording, user_id to_singer) = 0;
};

struct service_parts {
    cores& all;
    ledger::posting_queue& queue;
    const clock_source& clock;
    route_source& routes;
    boards& ranking;
    gift_display& display;
    std::string time_zone;
    double rate_factor = 1;
};

class service {
public:
    explicit service(service_parts parts) : p_(parts), sends_(parts.clock, limits::gift_sends_per_user.times(parts.rate_factor)) {}
    void register_with(rpc_table& table);
    awaitable<result<void>> load();
    // Prices whose time has come are in force within this time; for as long as the context runs.
    static constexpr std::int64_t reload_ms = 10'000;
    void keep_loading(core& on);

    awaitable<result<v1::ListGiftsResponse>> list(granted who, v1::ListGiftsRequest);
    awaitable<result<v1::SendGiftResponse>> send(granted who, v1::SendGiftRequest request);
    awaitable<result<v1::GetGiftSendResponse>> get_send(granted who, v1::GetGiftSendRequest request);
    awaitable<result<v1::GetBoardResponse>> get_board(granted who, v1::GetBoardRequest request);

    struct shown {
        std::vector<v1::GiftShown> gifts;
        bool older = false;  // there are others, shown more than ten minutes ago
    };
    // Ten minutes of listening earn a free gift.
    awaitable<void> watched(user_id user);

    // Gifts of a room after a sequence, oldest first, for a client that comes back.
    awaitable<result<shown>> shown_since(room_id room, entry_seq after, int limit);

private:
    // A key from the begin of its send to its answer: not yet known to the queue, and not "not found" either.
    class under_way;
    std::shared_ptr<const catalogue> gifts() const { return std::atomic_load(&catalogue_); }
    awaitable<result<v1::SendGiftResponse>> send_free(granted who, v1::SendGiftRequest request, uuid key);
    service_parts p_;
    std::shared_ptr<const catalogue> catalogue_;
    rate_limiter<user_id> sends_;
    std::mutex mutex_;
    std::unordered_multiset<uuid> keys_;
};

}  // namespace ovation::gifts
