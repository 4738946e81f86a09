// Reading the books from end to end: `ovation ledger verify` and `ovation ledger dump`.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/cores.hpp"

namespace ovation::ledger {

struct check {
    std::string name;
    bool ok = false;
    std::int64_t count = 0;  // rows looked at, or violations when not ok
    std::string detail;
};

// All checks in one snapshot: sums, balances, versions, floors, whole coins, gapless numbers, keys, and the split of every
// gift recomputed from its rule.
awaitable<result<std::vector<check>>> verify(pg::connection& db);
// The few that are cheap enough for a page that refreshes.
awaitable<result<std::vector<check>>> quick_checks(pg::pool& db);
// One line a posting, in order: seq, entry kind, key, account, account version, amount, balance after; tab-separated, micros.
awaitable<result<std::int64_t>> dump(pg::connection& db, std::function<void(const std::string&)> line);

}  // namespace ovation::ledger
