// Whether what stands beside the books agrees with them: orders, payouts, cases, settlements, bonus coins and their steps.
#pragma once
#include "ledger/audit.hpp"

namespace ovation::payments {

// All in one snapshot; a part of `ovation ledger verify`.
awaitable<result<std::vector<ledger::check>>> verify(pg::connection& db);

}  // namespace ovation::payments
