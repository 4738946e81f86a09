// The journal as it is stored, in commit order: for whoever recomputes it (the tree at a start, verify, seal, export).
#pragma once
#include <memory>
#include <unordered_map>

#include "ledger/internal/rows.hpp"
#include "ledger/reading.hpp"

namespace ovation::ledger {

// What a gift's row only names; `place` counts them in the order in which they were met.
struct known_route {
    route_text text;
    tree_hash digest{};
    std::array<std::int64_t, 7> accounts{};
    std::size_t place = 0;
};
struct known_wallet {
    leaf_salt salt{};
    std::array<std::int64_t, 3> accounts{};  // bonus, gift-only, paid
    std::size_t place = 0;
};

// Entries of [from, to), each kind in order of seq.
struct journal_page {
    std::vector<gift_row> gifts;
    std::vector<entry_row> entries;
    // Of the gifts, once they are loaded; none where the row is gone.
    std::vector<const known_route*> routes;
    std::vector<const known_wallet*> wallets;
    std::vector<std::int64_t> new_accounts;  // of the routes and wallets that this page was the first to need
    struct account {
        std::int64_t id = 0;
        bool floored = false, whole_coins = false;
        std::int64_t user = 0;  // whose wallet; else 0
    };
    std::vector<account> accounts;  // for a recount: those that no page before this one moves
};

class journal_reader {
public:
    explicit journal_reader(pg::connection& db) : db_(db) {}
    awaitable<result<journal_page>> read(std::int64_t from, std::int64_t to);
    // Brings in the routes and wallets that the page's gifts need for their leaves.
    awaitable<result<void>> load_for(journal_page& page);
    // The leaves of a loaded page whose numbers have no gap; a fault names the number that is missing or there twice.
    static result<std::vector<tree_hash>> leaves(const journal_page& page, std::int64_t from);
    // A gift whose route or wallet is gone has this leaf, which no tree holds.
    static constexpr tree_hash no_leaf{};
    static tree_hash leaf_at(const journal_page& page, std::size_t gift);

    // `read` in steps: what is no gift, in no order, …
    awaitable<result<std::vector<entry_row>>> entries(std::int64_t from, std::int64_t to);
    // … in order, with the routes and wallets that are known.
    void arrange(journal_page& page) const;

private:
    void resolve(journal_page& page) const;
    pg::connection& db_;
    std::unordered_map<std::int64_t, known_route> routes_;
    std::unordered_map<std::int64_t, known_wallet> wallets_;
};

// All gifts by one statement that reads them as they lie, at a third of what it costs to look them up by their numbers, cut into
// pages. They lie as they were posted, nearly; where that is not so there are no pages.
class journal_stream {
public:
    // Whose first page begins with the number `lowest`.
    journal_stream(pg::connection& db, std::int64_t lowest);
    ~journal_stream();
    // In the connection's transaction; until `end` it can do nothing else.
    awaitable<result<void>> begin();
    awaitable<result<void>> end();
    // The gifts of the next reading_page numbers, of which there should be `expected`. None: they are not there, or lie elsewhere;
    // who wants to know reads by numbers.
    awaitable<result<std::optional<std::vector<gift_row>>>> page(std::size_t expected);
    // Rows that may wait for those before them.
    static constexpr std::int64_t ahead_max = 10 * reading_page;

private:
    struct state;
    pg::connection& db_;
    std::int64_t next_;
    std::unique_ptr<state> is_;
};

// Of rows of sql::load_routes, seven for each route.
route_text route_text_of(const pg::rows& rows, int first);

}  // namespace ovation::ledger
