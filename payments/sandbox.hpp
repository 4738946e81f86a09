// The sandbox provider: no money moves. Its notifications are signed like Standard Webhooks (rules.md section 11), so the
// way from order to coins is the real one. It exists only under `serve --demo`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "payments/provider.hpp"

namespace ovation::payments::sandbox {

using payments::notification;
using payments::tolerance_s;

struct signed_headers {
    std::string id, timestamp, signature;
};

std::string body_of(const notification& n);
// `v1,<base64 of HMAC-SHA-256(key, id.timestamp.body)>`
std::string sign(std::string_view key, std::string_view id, std::string_view timestamp, std::string_view body);
// Signature and age first, then the content.
result<notification> read(std::string_view key, const signed_headers& headers, std::string_view body, std::int64_t now_ms);

class way_to_pay final : public provider {
public:
    explicit way_to_pay(std::string key) : key_(std::move(key)) {}
    [[nodiscard]] result<notification> read(const delivery& d, std::int64_t now_ms) const override {
        return sandbox::read(key_, {std::string(d.header("webhook-id")), std::string(d.header("webhook-timestamp")), std::string(d.header("webhook-signature"))}, d.body, now_ms);
    }
    awaitable<result<std::optional<refund_standing>>> refund(refund_order order, std::int64_t now_ms) const override;

private:
    std::string key_;
};

}  // namespace ovation::payments::sandbox
