// What the resident writer knows: balances, wallets and routes in memory, and the judgement of commands by them. No I/O:
// what a batch needs is named by `missing_of`, brought in by the `put_` functions, and every change of a batch can be undone.
#pragma once
#include <deque>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "ledger/command.hpp"
#include "ledger/internal/rows.hpp"

namespace ovation::ledger {

struct account {
    std::int64_t id = 0;
    bool floored = false, whole_coins = false;
    bool pinned = false;          // a route leads here: never evicted
    std::int64_t amount = 0, version = 0;
    std::int64_t spent = 0, day = 0;  // of a wallet's coins: what was given on the last day on which something was (rows.hpp's days)
    std::int64_t unsaved_from = 0;  // the first posting that its row does not have; 0: none
    std::uint64_t touched = 0;    // the plan that changed or saved it last
};

struct purse {  // a wallet
    std::int64_t user = 0;
    account *paid = nullptr, *gift_only = nullptr, *bonus = nullptr;
    leaf_salt salt{};
    bool frozen = false;
    std::int64_t daily_limit = 0, raised_limit = -1, raised_from_us = 0;
    std::list<std::int64_t>::iterator place;  // in the order of use
};

struct route {
    route_text text;
    tree_hash digest{};
    std::array<account*, 7> to{};  // vat, rights, singer, agent, venue, platform, promo
};

// What stands under a known key.
struct known_gift {
    std::int64_t seq = 0, payer = 0, item = 0, quantity = 0, room = 0, price = 0;
};
struct known_entry {
    std::int64_t seq = 0;
    std::string kind, reference;
    std::vector<std::string> names;
    std::vector<std::int64_t> amounts;
};

// What one entry names, looked up before it is judged.
struct entry_facts {
    std::vector<account*> accounts;  // as the legs; null: not open yet
    purse* holder = nullptr;         // of a hold's wallet
    bool holds = false;              // a hold that takes from a wallet
    std::int64_t hold_day = 0;       // of what a release gives back
};

// Rows of the checkpoint, for ledger.save: true as of `as_of`.
struct saved_rows {
    struct row {
        std::int64_t account = 0, amount = 0, version = 0, spent = 0, day = 0;
    };
    std::vector<row> rows;
    std::int64_t as_of = 0;
    std::int64_t up_to = 0;  // with them every posting up to here is in the rows
};

// A batch on its way: what it posts, which rows are saved, and how to undo it. Plans are undone newest first.
struct plan {
    std::uint64_t id = 0;
    std::int64_t from_seq = 1, next_seq = 1, at_us = 0;
    std::int64_t day = 0;           // since 1970-01-01, in the tenant's zone
    std::vector<gift_row> gifts;
    std::vector<entry_row> entries;
    std::vector<tree_hash> leaves;  // of what it posts, in order
    [[nodiscard]] std::int64_t posted() const { return next_seq - from_seq; }
    [[nodiscard]] std::int64_t last_seq() const { return next_seq - 1; }

    std::string copied;  // its gifts as binary COPY, as far as they were written out
    std::size_t copied_rows = 0;

    // Set by books::seal, as they are at the end of the batch.
    saved_rows with;               // what its entries changed: in its own transaction
    saved_rows behind;             // the oldest unsaved rows: once it is committed

    // For undo.
    struct waiting_row {
        std::int64_t from = 0, account = 0;
    };
    std::vector<std::pair<account*, account>> accounts_before;
    std::vector<account*> write_accounts;  // changed by entries
    std::vector<waiting_row> taken;
    std::vector<std::pair<account*, std::int64_t>> cleaned;  // and what unsaved_from was
    std::size_t pushed = 0;
};

class books {
public:
    explicit books(std::size_t wallets_max) : wallets_max_(wallets_max) {}

    purse* purse_of(std::int64_t user);
    route* route_of(std::int64_t id);
    account& put_account(account made);
    purse& put_purse(purse made);
    route& put_route(std::int64_t id, route made);

    // Its first number, its time, and the day that this time lies on. Commands are judged into the newest plan only.
    plan begin(std::int64_t from_seq, std::int64_t at_us, std::int64_t day);
    outcome judge(plan& to, const gift_command& g, const known_gift* known);
    // A fault: PostgreSQL would not take it either.
    result<outcome> judge(plan& to, const entry_command& e, const known_entry* known, const entry_facts& facts);
    // Before accounts that are not open yet are opened: whether it would be posted.
    [[nodiscard]] bool would_post(const plan& to, const entry_command& e, const entry_facts& facts) const;
    // Nothing more is judged into it. The oldest unsaved rows are to be saved behind it, at most `most`; none while others are
    // on their way.
    void seal(plan& p, std::size_t most);
    // It was committed: `behind` is on its way from now on, and nothing is let go until it is `saved`.
    void keep(const plan& p);
    void undo(plan& p);        // it was not committed
    // What is on its way is in the rows; everything up to `committed` may be let go.
    void saved();
    [[nodiscard]] bool saving() const { return !on_the_way_.empty(); }
    // Entries of the plan changed accounts whose rows are on their way: two transactions at once would wait for each other.
    [[nodiscard]] bool collides(const plan& p) const;
    // Lets go of the longest unused wallets: not while something that was brought in is still to be judged.
    void evict();
    [[nodiscard]] std::size_t unsaved() const { return order_.size(); }
    void clear();

private:
    void push(plan& to, plan::waiting_row w);
    static void touch(plan& to, account& a);
    void add(plan& to, account& a, std::int64_t amount, std::int64_t seq);
    void use(purse& p);
    void spend(plan& to, account& a, std::int64_t amount, std::int64_t seq);
    [[nodiscard]] static std::int64_t spent_on(const plan& at, const purse& p) { return p.paid->day == at.day ? p.paid->spent : 0; }
    [[nodiscard]] static std::int64_t limit_of(const plan& at, const purse& p) { return p.raised_limit >= 0 && p.raised_from_us <= at.at_us ? p.raised_limit : p.daily_limit; }
    [[nodiscard]] static status judge_hold(const plan& to, const entry_command& e, const entry_facts& facts);
    [[nodiscard]] static std::int64_t held_from(const entry_command& e, const entry_facts& facts);
    [[nodiscard]] bool stale(const plan::waiting_row& w) const;

    std::size_t wallets_max_;
    std::unordered_map<std::int64_t, account> accounts_;
    std::unordered_map<std::int64_t, purse> purses_;
    std::unordered_map<std::int64_t, route> routes_;
    std::list<std::int64_t> used_;             // users, the longest unused first
    std::deque<plan::waiting_row> order_;      // unsaved rows, the oldest first; some are saved meanwhile
    std::unordered_set<std::int64_t> on_the_way_;  // accounts whose rows are being saved
    std::uint64_t plans_ = 0, committed_ = 0;
};

}  // namespace ovation::ledger
