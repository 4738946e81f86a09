// Strong ids: two nouns never convert into each other. All are 64-bit, made by PostgreSQL, 0 = none.
#pragma once
#include <compare>
#include <cstdint>
#include <functional>

namespace ovation {

template <class Tag>
struct id {
    std::int64_t value = 0;
    constexpr id() = default;
    constexpr explicit id(std::int64_t v) : value(v) {}
    constexpr auto operator<=>(const id&) const = default;
    constexpr explicit operator bool() const { return value != 0; }
};

using user_id = id<struct user_tag>;
using session_id = id<struct session_tag>;
using channel_id = id<struct channel_tag>;
using contract_id = id<struct contract_tag>;
using room_id = id<struct room_tag>;
using show_id = id<struct show_tag>;
using performance_id = id<struct performance_tag>;
using song_id = id<struct song_tag>;
using gift_id = id<struct gift_tag>;
using route_id = id<struct route_tag>;
using rule_id = id<struct rule_tag>;
using account_id = id<struct account_tag>;
using order_id = id<struct order_tag>;
// Position in the ledger's commit order, 1, 2, 3, … without a gap.
using entry_seq = id<struct entry_tag>;

}  // namespace ovation

template <class Tag>
struct std::hash<ovation::id<Tag>> {
    std::size_t operator()(ovation::id<Tag> v) const noexcept { return std::hash<std::int64_t>{}(v.value); }
};
