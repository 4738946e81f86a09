// Reading the books from end to end: `ovation ledger verify` and `ovation ledger dump`.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/cores.hpp"
#include "ledger/seal.hpp"

namespace ovation::ledger {

struct check {
    std::string name;
    bool ok = false;
    std::int64_t count = 0;  // rows looked at, or violations when not ok
    std::string detail;
};

// What an SQL check found. Columns: violations, rows looked at, an example.
check counted_of(std::string name, const pg::rows& found, std::string sentence);
// All checks in one snapshot: sums, balances, versions, floors, whole coins, gapless numbers, keys, the split of every gift
// recomputed from its rule, the tree of entries, and the seals that are given.
awaitable<result<std::vector<check>>> verify(pg::connection& db, std::vector<checkpoint> seals = {});
// Every balance and day's spending again from the journal, as the owner's role. How many were not what they had to be.
awaitable<result<std::int64_t>> rebuild(pg::connection& owner);
// The few that are cheap enough for a page that refreshes.
awaitable<result<std::vector<check>>> quick_checks(pg::pool& db);
// One line a posting, in order: seq, entry kind, key, account, account version, amount, balance after; tab-separated, micros.
awaitable<result<std::int64_t>> dump(pg::connection& db, std::function<void(const std::string&)> line);

}  // namespace ovation::ledger
