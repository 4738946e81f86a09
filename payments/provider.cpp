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

std::string decimal_of(std::int64_t minor) { return fmt::format("{}.{:02}", minor / 100, minor % 100); }

fault provider_refused(const http_reply& reply, std::string_view why) {
    auto f = unavailable("provider_refused", "The provider did not take this payment. Nothing was charged; try again, or pay in another way.");
    f.inside = fmt::format("status {}: {}", reply.status, why.empty() ? std::string_view(reply.body).substr(0, 300) : why);
    return f;
}

result<std::optional<refund_standing>> refund_refused(const http_reply& reply, std::string_view why) {
    constexpr int conflict = 409, too_many = 429;
    if (reply.status < 400 || reply.status >= 500 || reply.status == conflict || reply.status == too_many) return provider_refused(reply, why);
    return refund_standing{refund_standing::state::refused, {}, fmt::format("status {}: {}", reply.status, why)};
}

std::int64_t order_of(std::string_view text) {
    std::int64_t out = 0;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out);
    return bad == std::errc{} && end == text.data() + text.size() && out > 0 ? out : 0;
}

}  // namespace ovation::payments
