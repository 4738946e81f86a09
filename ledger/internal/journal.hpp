// The journal as it is stored, in commit order: for whoever recomputes it (the tree at a start, verify, seal, export).
#pragma once
#include <memory>
#include <unordered_map>

#include "ledger/internal/rows.hpp"
#include "ledger/reading.hpp"

namespace ovation::ledger {

// Entries of [from, to), each kind in order of seq.
struct journal_page {
    std::vector<gift_row> gifts;
    std::vector<entry_row> entries;
};

class journal_reader {
public:
    explicit journal_reader(pg::connection& db) : db_(db) {}
    awaitable<result<journal_page>> read(std::int64_t from, std::int64_t to);
    // Brings in the routes and wallets that the page's gifts need for their leaves.
    awaitable<result<void>> load_for(const journal_page& page);
    // The leaves of a page whose numbers have no gap; a fault names the number that is missing or there twice.
    result<std::vector<tree_hash>> leaves(const journal_page& page, std::int64_t from);

    struct known_route {
        route_text text;
        tree_hash digest{};
        std::array<std::int64_t, 7> accounts{};
    };
    struct known_wallet {
        leaf_salt salt{};
        std::int64_t paid = 0, gift_only = 0, bonus = 0;  // accounts
    };
    [[nodiscard]] const known_route* route_of(std::int64_t id) const;
    [[nodiscard]] const known_wallet* wallet_of(std::int64_t user) const;
    // A gift whose route or wallet is gone has this leaf, which no tree holds.
    static constexpr tree_hash no_leaf{};

private:
    pg::connection& db_;
    std::unordered_map<std::int64_t, known_route> routes_;
    std::unordered_map<std::int64_t, known_wallet> wallets_;
};

// Of rows of sql::load_routes, seven for each route.
route_text route_text_of(const pg::rows& rows, int first);

}  // namespace ovation::ledger
