// The books counted again from the journal, row by row, without I/O: what `ovation ledger verify` compares with what is stored.
#pragma once
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "ledger/internal/journal.hpp"

namespace ovation::ledger {

// Violations of one rule, and the first of them.
struct finding {
    std::int64_t bad = 0, looked_at = 0;
    std::string example;
    void count(bool good, auto&& say) {
        ++looked_at;
        if (!good && bad++ == 0) example = say();
    }
};

class recount {
public:
    // The pages in order of seq; routes and wallets of their gifts are loaded, with the accounts that are new.
    void take(const journal_page& page);

    struct standing {
        std::int64_t amount = 0, version = 0;
        std::int64_t day = 0, spent = 0;  // of a wallet's coins: what was given on the last day on which something was
        bool floored = false, whole_coins = false;
    };
    std::unordered_map<std::int64_t, standing> accounts;          // by id
    std::vector<std::int64_t> day_starts;                          // microseconds, of the days from `first_day` on; set by the caller
    std::int64_t first_day = 0;                                    // since 1970-01-01
    std::unordered_map<std::int64_t, std::int64_t> wallet_users;  // of wallets' accounts, for holds
    finding numbers, sums, floors, coins, splits;
    merkle_tree tree;
    std::map<std::int64_t, tree_hash> roots_at;                    // filled in where it is asked for
    // 64 bits of each key, apart by the highest eight of them.
    std::array<std::vector<std::uint64_t>, 256> keys;
    [[nodiscard]] std::int64_t key_count() const;
    // Those that are there twice; sorts `keys`.
    std::vector<std::uint64_t> doubled_keys();
    static std::uint64_t short_key(const uuid& key);
    static std::uint64_t short_key(const std::string& key);

private:
    static void move(standing& a, std::int64_t amount);
    static void spend(standing& a, std::int64_t day, std::int64_t amount);
    void check(const standing& a, std::int64_t account, std::int64_t seq);  // after all legs of an entry
    void keep(std::uint64_t key) { keys[key >> 56].push_back(key); }
    [[nodiscard]] std::int64_t day_of(std::int64_t at_us) const;
    // The standings of a route's or a wallet's accounts, looked up once.
    template <std::size_t N>
    using seats = std::vector<std::array<standing*, N>>;
    template <std::size_t N>
    std::array<standing*, N>& seats_of(seats<N>& of, std::size_t place, const std::array<std::int64_t, N>& accounts);
    seats<3> wallet_seats_;
    seats<7> route_seats_;
    std::unordered_map<std::int64_t, std::int64_t> hold_days_;  // by the account that holds
    std::int64_t next_ = 1;
};

}  // namespace ovation::ledger
