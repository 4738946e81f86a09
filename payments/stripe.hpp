// Stripe: Checkout Sessions that carry our order's number as client_reference_id.
#pragma once
#include "payments/provider.hpp"

namespace ovation::payments {

class stripe final : public provider {
public:
    // The endpoint's secret as it is, `whsec_` included.
    explicit stripe(std::string secret) : secret_(std::move(secret)) {}
    [[nodiscard]] result<notification> read(const delivery& d, std::int64_t now_ms) const override;
    // Lower-case hex of HMAC-SHA-256(secret, "<t>.<body>").
    static std::string signature_of(std::string_view secret, std::string_view t, std::string_view body);

private:
    std::string secret_;
};

}  // namespace ovation::payments
