// Short-lived access tokens: `payload.mac`, both base64url; the payload is user, session, roles, expiry and name; the MAC
// is HMAC-SHA-256 with the installation's key. The algorithm is fixed: nothing in a token chooses it.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/rpc.hpp"

namespace ovation::identity {

class token_codec {
public:
    explicit token_codec(std::string key) : key_(std::move(key)) {}
    [[nodiscard]] std::string make(const caller& who, std::int64_t expires_ms) const;
    // nullopt: forged, malformed or expired.
    [[nodiscard]] std::optional<caller> read(std::string_view token, std::int64_t now_ms) const;

private:
    std::string key_;
};

}  // namespace ovation::identity
