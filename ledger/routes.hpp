// Interned rules and routes: the same question asked twice is the same row.
#pragma once
#include "base/cores.hpp"
#include "ledger/split.hpp"

namespace ovation::ledger {

struct route_parties {
    user_id singer;
    user_id agent;  // 0: none
    channel_id channel;
};

// The route by which gifts to `parties.singer` are split under `rule`.
awaitable<result<route_id>> intern_route(pg::pool& db, split_rule rule, route_parties parties);
awaitable<result<void>> open_wallet(pg::pool& db, user_id user);

}  // namespace ovation::ledger
