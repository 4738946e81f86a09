// Rows of the journal as the resident writer makes them: for PostgreSQL, and as leaves of the tree.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "ledger/command.hpp"
#include "ledger/split.hpp"
#include "ledger/tree.hpp"

namespace ovation::ledger {

inline constexpr std::int64_t postgres_epoch_us = 946'684'800'000'000;  // 2000-01-01
using leaf_salt = std::array<std::uint8_t, 16>;

struct gift_row {
    std::int64_t seq = 0;
    uuid key;
    std::int64_t at_us = 0;  // Unix microseconds
    std::int64_t payer = 0, route = 0, item = 0, room = 0, performance = 0, price = 0, bonus = 0, gift_only = 0;
    split_legs legs;
    std::int32_t quantity = 0;
};

// What goes out of the payer's accounts (bonus, gift-only, paid) and into the route's (vat, rights, singer, agent, venue, platform, promo).
inline std::array<std::int64_t, 3> paid_legs(const gift_row& g) { return {-g.bonus, -g.gift_only, -(g.price - g.bonus - g.gift_only)}; }
inline std::array<std::int64_t, 7> got_legs(const gift_row& g) { return {g.legs.vat, g.legs.rights, g.legs.singer, g.legs.agent, g.legs.venue, g.legs.platform, g.legs.promo}; }

struct entry_row {
    std::int64_t seq = 0;
    std::string kind, key;
    std::int64_t at_us = 0;
    std::vector<std::int64_t> accounts, amounts;
    std::vector<std::string> names;  // of the accounts
    std::string reference, detail;   // a JSON object
    leaf_salt salt{};
};

// What a gift's leaf says of its route: who receives, by which rule.
struct route_text {
    split_rule rule;
    std::int64_t singer_user = 0, channel = 0;
    std::array<std::string, 7> accounts;  // names: vat, rights, singer, agent, venue, platform, promo
};
tree_hash digest_of(const route_text& route);

// A leaf: its version and kind, its salt, the row's fields (docs/formats.md, "The tree of entries").
tree_hash leaf_of(const gift_row& row, const tree_hash& route, const leaf_salt& wallet);
tree_hash leaf_of(const entry_row& row);
// What is hashed: for proofs that stand alone.
std::string leaf_bytes(const gift_row& row, const tree_hash& route, const leaf_salt& wallet);
std::string leaf_bytes(const entry_row& row);

// Binary COPY of ledger.gift, in the order of `gift_columns`.
inline constexpr std::string_view gift_columns =
    "seq, key, at, payer, route, item, room, performance, price, bonus, gift_only, vat, rights, singer, agent, venue, platform, promo, quantity";
std::string copy_head();
void copy_row(std::string& to, const gift_row& row);
void copy_end(std::string& to);
// The arrays of an `insert into … select … from unnest`, in the same order less `at`.
pg::params arrays_of(const std::vector<gift_row>& rows);

// 2026-11-21, of days since 1970-01-01.
std::string date_text(std::int64_t day);
// "{1,2,3}", grown number by number.
void append_number(std::string& array, std::int64_t v);
// "{1,2,3}", of a number of each.
std::string numbers(const auto& of, auto number) {
    std::string out = "{";
    for (const auto& one : of) append_number(out, number(one));
    return out + "}";
}

}  // namespace ovation::ledger
