// Stripe: Checkout Sessions that carry our order's number as client_reference_id.
#pragma once
#include "payments/provider.hpp"

namespace ovation::payments {

struct stripe_api {
    std::string key;            // sk_…; empty: payments begin elsewhere
    http_server server;
    std::string return_url;     // where the payer comes back to
};
class stripe final : public provider {
public:
    // The endpoint's secret as it is, `whsec_` included.
    explicit stripe(std::string secret, stripe_api api = {}) : secret_(std::move(secret)), api_(std::move(api)) {}
    awaitable<result<std::optional<payment_begun>>> begin(payment_order order, std::int64_t now_ms) const override;
    awaitable<result<std::optional<payment_standing>>> ask(payment_order order, std::int64_t now_ms) const override;
    awaitable<result<std::optional<refund_standing>>> refund(refund_order order, std::int64_t now_ms) const override;
    [[nodiscard]] result<notification> read(const delivery& d, std::int64_t now_ms) const override;
    // Lower-case hex of HMAC-SHA-256(secret, "<t>.<body>").
    static std::string signature_of(std::string_view secret, std::string_view t, std::string_view body);

private:
    using form = std::vector<std::pair<std::string, std::string>>;
    [[nodiscard]] awaitable<result<http_reply>> call(std::string method, std::string target, std::string key = {}, form fields = {}) const;
    std::string secret_;
    stripe_api api_;
};

}  // namespace ovation::payments
