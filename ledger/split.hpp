// Who gets what of a price: presets, precedence, and the exact split (rules.md sections 1 and 3).
// PostgreSQL splits when it posts; this is the same rule written a second time, for previews, tests and `verify`.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fault.hpp"
#include "base/ids.hpp"

namespace ovation::ledger {

inline constexpr int basis_points = 10'000;
inline constexpr int default_vat_bp = 600;
inline constexpr int agent_rate_max_bp = 3'000;

// Shares in basis points of the base; they sum to 10 000.
struct split_rule {
    std::string preset;
    int preset_version = 1;
    std::string source = "preset";  // event, contract, channel, preset
    std::int64_t source_id = 0;
    bool gross = false;  // base = the whole price; VAT comes out of the platform's part
    int vat_bp = default_vat_bp;
    int rights_bp = 0, singer_bp = 0, agent_bp = 0, venue_bp = 0, platform_bp = 0;
    int bonus_singer_bp = 0;
    bool operator==(const split_rule&) const = default;
};

// Micros. vat + rights + singer + agent + venue + platform + promo = price.
struct split_legs {
    std::int64_t vat = 0, rights = 0, singer = 0, agent = 0, venue = 0, platform = 0, promo = 0;
    bool operator==(const split_legs&) const = default;
};

// price ≥ bonus ≥ 0, both in micros. Base = price − bonus, less VAT unless gross; floor, then the largest remainder,
// ties in the order rights, singer, agent, venue, platform. The bonus part returns to promo.
split_legs split(std::int64_t price, std::int64_t bonus, const split_rule& rule);

// What the shares of `price` are of.
std::int64_t base_of(std::int64_t price, std::int64_t bonus, const split_rule& rule);

// One level of the precedence event > contract > channel > preset.
struct policy {
    std::string source;
    std::int64_t source_id = 0;
    std::string preset;                 // empty: leave it to the next level
    std::optional<int> agent_bp;        // a contract's rate
};
struct split_question {
    std::optional<policy> event, contract, channel;
    std::string preset = "ovation-default";
    bool licensed_song = false;  // a song that is not in the public domain
    int vat_bp = default_vat_bp;
};
// The shares that hold; fails on an unknown preset or a rate outside its bounds.
result<split_rule> resolve(const split_question& question);
const std::vector<std::string>& preset_names();

}  // namespace ovation::ledger
