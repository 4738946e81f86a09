#include "identity/tokens.hpp"

#include <spdlog/fmt/fmt.h>

#include <array>
#include <charconv>

#include "base/crypto.hpp"

namespace ovation::identity {
namespace {
std::string mac_of(const std::string& key, std::string_view payload) {
    const auto digest = crypto::hmac_sha256(key, payload);
    return crypto::base64url({reinterpret_cast<const char*>(digest.data()), digest.size()});
}
}  // namespace

std::string token_codec::make(const caller& who, std::int64_t expires_ms) const {
    const auto payload = crypto::base64url(fmt::format("1.{}.{}.{}.{}.{}", who.user.value, who.session.value, who.roles.bits(), expires_ms, who.name));
    return payload + '.' + mac_of(key_, payload);
}

std::optional<caller> token_codec::read(std::string_view token, std::int64_t now_ms) const {
    const auto dot = token.find('.');
    if (dot == std::string_view::npos || token.size() > 1024) return std::nullopt;
    if (!crypto::equal_constant_time(mac_of(key_, token.substr(0, dot)), token.substr(dot + 1))) return std::nullopt;
    const auto payload = crypto::from_base64url(token.substr(0, dot));
    if (!payload) return std::nullopt;
    std::array<std::int64_t, 5> numbers{};  // format, user, session, roles, expiry
    std::string_view rest = *payload;
    for (auto& n : numbers) {
        const auto [end, bad] = std::from_chars(rest.data(), rest.data() + rest.size(), n);
        if (bad != std::errc{} || end == rest.data() + rest.size()) return std::nullopt;
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()) + 1);
    }
    if (numbers[0] != 1 || numbers[4] <= now_ms) return std::nullopt;
    caller out;
    out.user = user_id(numbers[1]);
    out.session = session_id(numbers[2]);
    out.roles = role_set(static_cast<std::uint32_t>(numbers[3]));
    out.name = rest;
    return out;
}

}  // namespace ovation::identity
