// Alipay: a form, signed with Alipay's RSA key (RSA2) over its sorted fields.
#pragma once
#include "payments/provider.hpp"

namespace ovation::payments {

struct alipay_options {
    std::string public_key;  // Alipay's, PEM
    std::string app_id, seller_id;
};
class alipay final : public provider {
public:
    explicit alipay(alipay_options options) : options_(std::move(options)) {}
    [[nodiscard]] result<notification> read(const delivery& d, std::int64_t now_ms) const override;
    [[nodiscard]] std::string_view thanks() const override { return "success"; }

private:
    alipay_options options_;
};

}  // namespace ovation::payments
