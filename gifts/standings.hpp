// Sorted sets in Redis for the long periods of the boards (week, month, all), with the cursor of the projection that filled
// them. Equal scores stand in the order of the member: member = inverted sequence, then inverted id, so that the lower
// sequence comes first. Scores are coins, exact as doubles up to 2^53. What does not fit its cursor is not used.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/redis.hpp"

namespace ovation::gifts {

struct standing {
    std::string board;  // scope:scope_id:subject:period, "3:17:1:w2026-11-16"
    std::int64_t subject = 0;
    std::int64_t coins = 0;  // to add; in a refill and in answers the whole
    std::int64_t reached = 0;
    std::int64_t rank = 0;   // in answers, from 1
};

class standings {
public:
    explicit standings(redis::client& store) : store_(store) {}
    [[nodiscard]] bool configured() const { return store_.configured(); }

    // `epoch`: restore epoch and database; one Redis serves one installation.
    // Adds what the journal says from `from` (exclusive) to `to`. False: the sets stand elsewhere (behind, ahead, another
    // restore epoch, empty) and want a refill.
    awaitable<result<bool>> apply(std::string epoch, std::int64_t from, std::int64_t to, std::vector<standing> rows);
    awaitable<result<void>> refill(std::string epoch, std::int64_t cursor, std::vector<standing> rows);

    struct page {
        std::int64_t cursor = 0;
        std::vector<standing> rows;
        std::optional<standing> asker;
    };
    // Nothing: the sets are being filled; ask PostgreSQL.
    awaitable<result<std::optional<page>>> top(std::string board, std::int64_t limit, user_id asker);
    awaitable<result<void>> forget();

private:
    awaitable<result<std::int64_t>> write(std::string generation, std::vector<standing>& rows, std::vector<std::string> head, std::vector<std::string> last);
    redis::client& store_;
};

}  // namespace ovation::gifts
