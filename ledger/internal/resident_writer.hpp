// Posts batches from memory: what may refuse is judged here (internal/books.hpp), and PostgreSQL gets rows. Small batches go as
// one pipeline of prepared statements, large ones as binary COPY into the hot leaf; both are one transaction that begins with
// ledger.advance, which raises when another writer has taken over. Balance rows are a checkpoint written behind.
// Used by the posting queue alone, on its loop.
#pragma once
#include <chrono>
#include <memory>
#include <span>

#include "base/clock.hpp"
#include "ledger/internal/books.hpp"
#include "ledger/internal/key_filter.hpp"
#include "ledger/internal/journal.hpp"
#include "ledger/posting_queue.hpp"

namespace ovation::ledger {

class resident_writer {
public:
    resident_writer(const clock_source& clock, writer_options options) : clock_(clock), options_(options), books_(options.wallets_max) {}

    // After the head was taken, or memory is in doubt: brings the rows up to the head and begins with an empty memory.
    awaitable<result<void>> begin(pg::connection& db, std::int64_t epoch);
    // Posts the batch as one transaction. A fault with an SQLSTATE: nothing of it stays, and memory is as before.
    // Any other: unknown, and `begin` must come next.
    awaitable<result<outcomes>> post(pg::connection& db, std::span<const command* const> batch);
    // The same by ledger.post_gifts and ledger.post_entry; `begin` must come next.
    awaitable<result<outcomes>> post_by_sets(pg::connection& db, std::span<const command* const> batch);
    // Writes unsaved rows, a piece of them, and renews the lease.
    awaitable<result<void>> save(pg::connection& db);
    [[nodiscard]] bool unsaved() const { return books_.unsaved() > 0 || seq_ != frontier_seq_; }
    // Makes leaves ahead of need, indexes closed ones, fills the key filters: on a connection of its own, beside posting.
    awaitable<result<void>> tend(pg::connection& db);
    [[nodiscard]] bool knows_keys() const;
    [[nodiscard]] bool wants_tending() const { return tend_soon_; }
    [[nodiscard]] bool set_based() const { return options_.set_based; }
    [[nodiscard]] std::int64_t seq() const { return seq_; }

private:
    struct leaf {
        std::string name, insert_name, insert_sql;
        pg::statement insert{};
        std::int64_t first = 0, end = 0, closed_ms = 0;
        std::unique_ptr<key_filter> keys;
        bool ready = false;  // `keys` has every key of the leaf
    };
    struct known {
        std::unordered_map<uuid, known_gift> gifts;
        std::unordered_map<std::string, known_entry> entries;
        std::vector<entry_facts> facts;  // as the batch; of gifts: empty
    };

    awaitable<result<void>> read_clock(pg::connection& db);
    awaitable<result<void>> read_leaves(pg::connection& db);
    awaitable<result<void>> read_limits(pg::connection& db);
    awaitable<result<known>> look_up(pg::connection& db, std::span<const command* const> batch);
    awaitable<result<void>> load_wallets(pg::connection& db, const std::unordered_set<std::int64_t>& users);
    awaitable<result<void>> load_routes(pg::connection& db, const std::unordered_set<std::int64_t>& routes);
    awaitable<result<void>> load_accounts(pg::connection& db, std::span<const command* const> batch, known& what);
    awaitable<result<void>> open_missing(pg::connection& db, std::span<const command* const> batch, known& what);
    awaitable<result<void>> commit(pg::connection& db, const slice& rows, bool judged);
    [[nodiscard]] std::vector<pg::request> requests_before(const slice& rows, const merkle_tree& tree, bool frontier, bool judged);
    [[nodiscard]] std::vector<pg::request> requests_after();
    [[nodiscard]] bool may_be_known(const uuid& key) const;
    [[nodiscard]] std::int64_t leaves_from(std::int64_t key_ms) const;
    [[nodiscard]] leaf* leaf_at(std::int64_t seq);
    std::int64_t time_us();
    [[nodiscard]] std::size_t rows_due(std::size_t posting);

    const clock_source& clock_;
    writer_options options_;
    books books_;
    std::int64_t epoch_ = 0, seq_ = 0, limits_ = 0;
    std::int64_t ahead_us_ = 0, day_ = 0, day_ends_us_ = 0, last_us_ = 0, clock_read_ms_ = 0;
    merkle_tree tree_;
    std::int64_t frontier_seq_ = 0;
    std::int64_t saved_ms_ = 0;
    double due_ = 0;  // rows to save, carried over
    std::vector<std::shared_ptr<leaf>> leaves_;  // by number
    std::int64_t kept_from_ms_ = 0;
    std::uint64_t generation_ = 0;
    bool tend_soon_ = true;
};

}  // namespace ovation::ledger
