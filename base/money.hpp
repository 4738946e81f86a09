// Money: signed 64-bit, no floating point. The ledger's unit is the micro (10^-6 of the currency);
// 1 coin = 10 000 micros; 1 minor unit (fen) = 10 000 micros too, since 100 coins = 1 CNY (rules.md section 1).
#pragma once
#include <compare>
#include <cstdint>
#include <optional>

namespace ovation {

inline constexpr std::int64_t micros_per_coin = 10'000;
inline constexpr std::int64_t micros_per_minor = 10'000;

inline std::optional<std::int64_t> checked_multiply(std::int64_t a, std::int64_t b) {
    std::int64_t out = 0;
    if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
    return out;
}

struct micros {
    std::int64_t value = 0;
    constexpr auto operator<=>(const micros&) const = default;
};
struct coins {
    std::int64_t value = 0;
    constexpr auto operator<=>(const coins&) const = default;
    // nullopt on overflow.
    [[nodiscard]] std::optional<micros> to_micros() const {
        auto product = checked_multiply(value, micros_per_coin);
        if (!product) return std::nullopt;
        return micros{*product};
    }
};

}  // namespace ovation
