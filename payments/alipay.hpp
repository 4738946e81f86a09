// Alipay: a form, signed with Alipay's RSA key (RSA2) over its sorted fields.
#pragma once
#include <boost/json.hpp>

#include "payments/provider.hpp"

namespace ovation::payments {

struct alipay_options {
    std::string public_key;  // Alipay's, PEM
    std::string app_id, seller_id;
    std::string private_key = {};      // ours, PEM; empty: payments begin elsewhere
    http_server server = {};           // its gateway
    std::string return_url = {}, notify_url = {};
};
class alipay final : public provider {
public:
    explicit alipay(alipay_options options) : options_(std::move(options)) {}
    [[nodiscard]] result<notification> read(const delivery& d, std::int64_t now_ms) const override;
    awaitable<result<std::optional<payment_begun>>> begin(payment_order order, std::int64_t now_ms) const override;
    awaitable<result<std::optional<payment_standing>>> ask(payment_order order, std::int64_t now_ms) const override;
    awaitable<result<std::optional<refund_standing>>> refund(refund_order order, std::int64_t now_ms) const override;
    [[nodiscard]] std::string_view thanks() const override { return "success"; }

private:
    [[nodiscard]] result<std::string> signed_form(std::string_view method, std::string biz_content, std::int64_t now_ms) const;
    [[nodiscard]] awaitable<result<boost::json::value>> call(std::string method, boost::json::object content, std::int64_t now_ms) const;
    alipay_options options_;
};

}  // namespace ovation::payments
