// The sandbox provider: no money moves. Its notifications are signed like Standard Webhooks (rules.md section 11), so the
// way from order to coins is the real one. It exists only under `serve --demo`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fault.hpp"

namespace ovation::payments::sandbox {

inline constexpr std::int64_t tolerance_s = 300;  // both sides

struct notification {
    std::string event_id;
    std::int64_t order = 0;
    std::int64_t amount_minor = 0;
    std::string currency;
};
struct signed_headers {
    std::string id, timestamp, signature;
};

std::string body_of(const notification& n);
// `v1,<base64 of HMAC-SHA-256(key, id.timestamp.body)>`
std::string sign(std::string_view key, std::string_view id, std::string_view timestamp, std::string_view body);
// Signature and age first, then the content.
result<notification> read(std::string_view key, const signed_headers& headers, std::string_view body, std::int64_t now_ms);

}  // namespace ovation::payments::sandbox
