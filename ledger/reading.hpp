// What reads all of the books, here and in the folders above, has in common.
#pragma once
#include <chrono>

#include "base/pg.hpp"

namespace ovation::ledger {

// For whoever reads all of the books: how long one statement may take, and how many entries go into a page.
inline constexpr auto reading_patience = std::chrono::minutes(30);
inline constexpr std::int64_t reading_page = 10'000;
// The books as they stand at one moment.
inline const pg::statement begin_snapshot{"begin_snapshot", "begin isolation level repeatable read read only"};
inline const pg::statement end_snapshot{"end_snapshot", "commit"};

}  // namespace ovation::ledger
