#include "payments/provider.hpp"

#include <spdlog/fmt/fmt.h>

#include <charconv>

namespace ovation::payments {

result<void> check_age(std::string_view unix_seconds, std::int64_t now_ms, std::string_view header) {
    std::int64_t at = 0;
    const auto [end, bad] = std::from_chars(unix_seconds.data(), unix_seconds.data() + unix_seconds.size(), at);
    if (bad != std::errc{} || end != unix_seconds.data() + unix_seconds.size()) return denied("bad_signature", fmt::format("The time in {} is not a number.", header));
    if (at < now_ms / 1000 - tolerance_s || at > now_ms / 1000 + tolerance_s) return denied("stale_notification", "The notification is older or newer than 300 s.");
    return result<void>{};
}

std::optional<std::int64_t> minor_of(std::string_view t) {
    const auto dot = t.find('.');
    const auto whole = t.substr(0, dot), part = dot == t.npos ? std::string_view() : t.substr(dot + 1);
    if (whole.empty() || whole.size() > 15 || (dot != t.npos && (part.empty() || part.size() > 2))) return std::nullopt;
    if (whole.find_first_not_of("0123456789") != t.npos || part.find_first_not_of("0123456789") != t.npos) return std::nullopt;
    std::int64_t out = 0;
    std::from_chars(whole.data(), whole.data() + whole.size(), out);
    out *= 100;
    if (!part.empty()) out += static_cast<std::int64_t>(part[0] - '0') * 10;
    if (part.size() == 2) out += part[1] - '0';
    return out;
}

}  // namespace ovation::payments
