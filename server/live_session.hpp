// One WebSocket on /v1/live: reads frames, asks the access rules, hands commands to the room; it is the room's pipe back.
// It starts on the core that accepted it and moves to the room's home core after the first frame.
#pragma once
#include "identity/service.hpp"
#include "rooms/hall.hpp"
#include "server/http.hpp"
#include "server/websocket.hpp"

namespace ovation::server {

struct live_parts {
    cores& all;
    rooms::hall& hall;
    const identity::service& people;
    const clock_source& clock;
    std::vector<sweeper*> sweepers;  // by core
    counter& opened;
    counter& refused;
    double rate_factor = 1;
};

// After the handshake. `rest`: what came behind the upgrade request.
awaitable<void> run_live(live_parts& p, std::unique_ptr<transport> connection, std::string rest, rooms::encoding wire, std::string address);

// The WebSocket frame around one payload, for the fan-out.
std::string frame_for(rooms::encoding wire, std::string_view payload);

}  // namespace ovation::server
