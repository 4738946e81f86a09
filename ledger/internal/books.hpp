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
    std::int64_t unsaved_from = 0;  // the first posting that its row does not have; 0: none
    std::uint64_t touched = 0;    // the batch that changed it last
};

struct purse {  // a wallet
    std::int64_t user = 0;
    account *paid = nullptr, *gift_only = nullptr, *bonus = nullptr;
    leaf_salt salt{};
    bool frozen = false;
    std::int64_t daily_limit = 0, raised_limit = -1, raised_from_us = 0;
    std::int64_t day = 0, spent = 0;  // days since 1970-01-01, in the tenant's zone
    std::int64_t unsaved_from = 0;    // of `spent`
    std::uint64_t touched = 0;
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

// Balances and days' spending whose rows are to be written, as arrays of ledger.save and ledger.save_spend.
struct slice {
    std::vector<account*> accounts;
    struct spend {
        std::int64_t user = 0, day = 0, spent = 0, unsaved_from = 0;
    };
    std::vector<spend> spends;
    [[nodiscard]] bool empty() const { return accounts.empty() && spends.empty(); }
};

class books {
public:
    explicit books(std::size_t wallets_max) : wallets_max_(wallets_max) {}

    purse* purse_of(std::int64_t user);
    route* route_of(std::int64_t id);
    account* account_of(std::int64_t id);
    account& put_account(std::int64_t id, bool floored, bool whole_coins, std::int64_t amount, std::int64_t version);
    purse& put_purse(purse made);
    route& put_route(std::int64_t id, route made);

    // A batch: its first number, its time, and the day that this time lies on.
    void begin(std::int64_t from_seq, std::int64_t at_us, std::int64_t day);
    outcome judge(const gift_command& g, const known_gift* known);
    // A fault: PostgreSQL would not take it either.
    result<outcome> judge(const entry_command& e, const known_entry* known, const entry_facts& facts);
    // As `judge` above, but before accounts that are not open yet are opened: refused, or to be posted.
    [[nodiscard]] bool would_post(const entry_command& e, const entry_facts& facts) const;
    [[nodiscard]] const std::vector<gift_row>& gifts() const { return gifts_; }
    [[nodiscard]] const std::vector<entry_row>& entries() const { return entries_; }
    [[nodiscard]] std::int64_t posted() const { return next_seq_ - from_seq_; }
    // Leaves of what this batch posts, in order.
    [[nodiscard]] const std::vector<tree_hash>& leaves() const { return leaves_; }
    struct give_back {
        std::int64_t user = 0, day = 0, amount = 0;
    };
    [[nodiscard]] const std::vector<give_back>& given_back() const { return given_back_; }

    // The oldest unsaved rows, at most `most`, and all that entries of this batch changed.
    slice take_slice(std::size_t most);
    // Every posting up to here will be in the rows once `s` is written at the end of this batch.
    [[nodiscard]] std::int64_t saved_up_to() const;
    void keep(const slice& s);   // the batch was committed
    void undo(const slice& s);   // it was not
    [[nodiscard]] std::size_t unsaved() const { return order_.size(); }
    void clear();

private:
    struct waiting_row {
        std::int64_t from = 0;
        std::int64_t account = 0;   // or
        slice::spend spend;         // with user != 0
    };
    void push(waiting_row w);
    void touch(account& a);
    void touch(purse& p);
    void add(account& a, std::int64_t amount, std::int64_t seq);
    void use(purse& p);
    void turn_day(purse& p);
    void spend(purse& p, std::int64_t amount, std::int64_t seq);
    [[nodiscard]] std::int64_t limit_of(const purse& p) const { return p.raised_limit >= 0 && p.raised_from_us <= at_us_ ? p.raised_limit : p.daily_limit; }
    [[nodiscard]] status judge_hold(const entry_command& e, const entry_facts& facts) const;
    [[nodiscard]] static std::int64_t held_from(const entry_command& e, const entry_facts& facts);
    [[nodiscard]] bool stale(const waiting_row& w) const;
    void evict();

    std::size_t wallets_max_;
    std::unordered_map<std::int64_t, account> accounts_;
    std::unordered_map<std::int64_t, purse> purses_;
    std::unordered_map<std::int64_t, route> routes_;
    std::list<std::int64_t> used_;     // users, the longest unused first
    std::deque<waiting_row> order_;    // unsaved rows, the oldest first; some are saved meanwhile

    std::uint64_t batch_ = 0;
    std::int64_t from_seq_ = 1, next_seq_ = 1, at_us_ = 0, day_ = 0;
    std::vector<gift_row> gifts_;
    std::vector<entry_row> entries_;
    std::vector<tree_hash> leaves_;
    std::vector<give_back> given_back_;
    std::vector<account*> write_accounts_;
    std::vector<purse*> write_spends_;
    std::vector<std::pair<account*, account>> accounts_before_;
    struct purse_before {
        purse* which;
        std::int64_t day, spent, unsaved_from;
    };
    std::vector<purse_before> purses_before_;
    std::vector<waiting_row> taken_;
    std::size_t pushed_ = 0;
};

}  // namespace ovation::ledger
