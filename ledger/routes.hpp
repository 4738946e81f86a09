// Interned rules and routes: the same question asked twice is the same row.
#pragma once
#include <string>
#include <utility>
#include <vector>

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
// A route as it was interned: its rule, and the accounts that its parties have.
struct route_terms {
    split_rule rule;
    std::string vat, rights, singer, agent, venue, platform;
};
awaitable<result<route_terms>> read_route(pg::pool& db, route_id id);
// What each account gets of `price` micros, all of it paid coins; nothing for a share of nought. The sum is the price.
std::vector<std::pair<std::string, std::int64_t>> credit_legs(std::int64_t price, const route_terms& terms);
awaitable<result<void>> open_wallet(pg::pool& db, user_id user);

}  // namespace ovation::ledger
