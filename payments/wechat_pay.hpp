// WeChat Pay v3: signed with one of the platform's RSA keys, the resource encrypted for us (AES-256-GCM).
#pragma once
#include "payments/provider.hpp"

namespace ovation::payments {

struct wechat_pay_options {
    std::string api_key;                                    // APIv3 key, 32 bytes
    std::map<std::string, std::string, std::less<>> keys;   // PEM of the platform's certificate or public key, by serial
    std::string merchant;                                   // mchid
    std::string app_id = {}, private_key = {}, serial = {}; // our application, our key (PEM) and its serial; without a key payments begin elsewhere
    http_server server = {};
    std::string notify_url = {};
};
class wechat_pay final : public provider {
public:
    explicit wechat_pay(wechat_pay_options options) : options_(std::move(options)) {}
    [[nodiscard]] result<notification> read(const delivery& d, std::int64_t now_ms) const override;
    awaitable<result<std::optional<payment_begun>>> begin(payment_order order, std::int64_t now_ms) const override;
    awaitable<result<std::optional<payment_standing>>> ask(payment_order order, std::int64_t now_ms) const override;
    awaitable<result<std::optional<refund_standing>>> refund(refund_order order, std::int64_t now_ms) const override;
    [[nodiscard]] std::string_view thanks() const override { return R"({"code":"SUCCESS"})"; }

private:
    [[nodiscard]] awaitable<result<http_reply>> call(http_call what, std::int64_t now_ms) const;
    wechat_pay_options options_;
};

}  // namespace ovation::payments
