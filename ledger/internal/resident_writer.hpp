// Posts batches from memory: what may refuse is judged here (internal/books.hpp), and PostgreSQL gets rows. Small batches go as
// one pipeline of prepared statements, large ones as binary COPY into the hot leaf; both are one transaction that begins with
// ledger.advance, which raises when another writer has taken over. Balance rows are a checkpoint, saved behind the batches on a
// connection of its own.
// While one batch commits the next is judged, on top of it; what must be looked up for that is read on a second connection,
// where everything that is not in memory is committed. Used by the posting queue alone, on its loop.
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

inline constexpr auto statement_patience = std::chrono::seconds(30);  // for one statement of the writer

class resident_writer {
public:
    resident_writer(const clock_source& clock, writer_options options) : clock_(clock), options_(options), books_(options.wallets_max) {}

    // After the head was taken, or memory is in doubt: brings the rows up to the head and begins with an empty memory.
    awaitable<result<void>> begin(pg::connection& db, std::int64_t epoch);
    // Judges commands into the open batch, in order; no key twice among the batches on their way. Reads on `reader`.
    // A fault: the open batch is undone, these commands and those before them.
    awaitable<result<outcomes>> judge(pg::connection& reader, std::span<const command* const> commands);
    // The open batch is closed, with unsaved rows to save behind it; the batch before must be committed.
    void seal();
    // Commits the sealed batch as one transaction. A fault with an SQLSTATE: nothing of it stays; `undo` or `begin` comes next.
    // Any other: unknown, and `begin` must come next.
    awaitable<result<void>> commit(pg::connection& db);
    // Rows of the checkpoint that are to be saved now, one lot at a time: those behind the batch that was committed last, or,
    // while there is no batch, the oldest.
    [[nodiscard]] bool has_rows() const { return !behind_.rows.empty() && !saving_; }
    void take_rows();
    // A fault: they are not saved, and `begin` must come next.
    awaitable<result<void>> save(pg::connection& saver);
    [[nodiscard]] bool saving() const { return books_.saving(); }
    // The sealed batch writes rows that are being saved: it must wait.
    [[nodiscard]] bool collides() const { return sealed_ && books_.collides(*sealed_); }
    // Both batches on their way, as if they had never been judged.
    void undo();
    // What ledger.advance did not agree with: limits that changed (OV003), the clock (OV004).
    awaitable<result<void>> read_again(pg::connection& reader);
    // Posts by ledger.post_gifts and ledger.post_entry, one transaction; `begin` must come next.
    awaitable<result<outcomes>> post_by_sets(pg::connection& db, std::span<const command* const> batch);
    // Makes leaves ahead of need, indexes closed ones, fills the key filters: on a connection of its own, beside posting.
    awaitable<result<void>> tend(pg::connection& db);
    [[nodiscard]] bool rows_wait() const { return books_.unsaved() > 0; }
    // The head does not have it yet that everything is saved.
    [[nodiscard]] bool unsaved() const { return rows_wait() || saving() || seq_ != frontier_seq_ || seq_ != checkpoint_seq_; }
    [[nodiscard]] std::int64_t committed_ms() const { return committed_ms_; }
    [[nodiscard]] bool knows_keys() const;
    [[nodiscard]] bool wants_tending() const { return tend_soon_; }

private:
    struct leaf {
        std::string name, insert_name, insert_sql, known_name, known_sql;
        pg::statement insert{}, known{};
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
    awaitable<result<void>> open_missing(pg::connection& db, std::span<const command* const> batch, known& what, std::size_t i);
    awaitable<result<outcomes>> judge_known(pg::connection& reader, std::span<const command* const> commands);
    [[nodiscard]] static pg::request save_request(std::int64_t epoch, const saved_rows& what);
    [[nodiscard]] std::vector<pg::request> requests_before(bool frontier, std::int64_t saved) const;
    [[nodiscard]] std::vector<pg::request> requests_after() const;
    void ask_for(const uuid& key, std::unordered_map<leaf*, std::string>& asked) const;
    [[nodiscard]] std::int64_t leaves_from(std::int64_t key_ms) const;
    [[nodiscard]] leaf* leaf_at(std::int64_t seq) const;
    std::int64_t time_us();
    [[nodiscard]] std::size_t rows_due(std::size_t posting);
    [[nodiscard]] std::int64_t next_seq() const { return open_ ? open_->next_seq : sealed_ ? sealed_->next_seq : seq_ + 1; }
    void open();

    const clock_source& clock_;
    writer_options options_;
    books books_;
    std::int64_t epoch_ = 0, seq_ = 0, limits_ = 0;
    std::int64_t ahead_us_ = 0, day_ = 0, day_ends_us_ = 0, last_us_ = 0, clock_read_ms_ = 0;
    std::optional<plan> open_, sealed_;
    bool judging_ = false;
    bool judged_ = false;                      // the sealed one holds commands, not only rows
    merkle_tree tree_, sealed_tree_, open_tree_;  // committed; and what it will be
    std::int64_t frontier_seq_ = 0;
    saved_rows behind_;                        // to be saved, or on their way
    bool saving_ = false;                      // they are on their way
    std::int64_t saved_up_to_ = 0;             // every posting up to here is in the rows,
    std::int64_t checkpoint_seq_ = 0;          // and this the head knows
    std::int64_t committed_ms_ = 0, rows_saved_ms_ = 0;
    double due_ = 0;  // rows to save, carried over
    std::vector<std::shared_ptr<leaf>> leaves_;  // by number
    std::int64_t kept_from_ms_ = 0;
    std::uint64_t generation_ = 0;
    bool tend_soon_ = true;
};

}  // namespace ovation::ledger
