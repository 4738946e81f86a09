// UUIDs as 16 bytes; version 7 carries its time (RFC 9562 section 5.7).
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ovation {

struct uuid {
    std::array<std::uint8_t, 16> bytes{};
    auto operator<=>(const uuid&) const = default;
    [[nodiscard]] int version() const { return bytes[6] >> 4; }
    // Unix milliseconds of a version 7.
    [[nodiscard]] std::int64_t time_ms() const;
    [[nodiscard]] std::string text() const;
    // 8-4-4-4-12 hexadecimal digits, either case; nullopt otherwise.
    static std::optional<uuid> parse(std::string_view text);
    static uuid make_v7(std::int64_t now_ms);
};

}  // namespace ovation

template <>
struct std::hash<ovation::uuid> {
    std::size_t operator()(const ovation::uuid& u) const noexcept {
        std::size_t out = 0;
        for (std::size_t i = 8; i < 16; ++i) out = out << 8 | u.bytes[i];
        return out ^ (static_cast<std::size_t>(u.bytes[5]) << 32 | u.bytes[7]);
    }
};
