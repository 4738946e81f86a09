#include "payments/wechat_pay.hpp"

#include <spdlog/fmt/fmt.h>

#include "base/crypto.hpp"
#include "payments/internal/json.hpp"

namespace ovation::payments {

result<notification> wechat_pay::read(const delivery& d, std::int64_t now_ms) const {
    const auto time = d.header("wechatpay-timestamp");
    const auto key = options_.keys.find(d.header("wechatpay-serial"));
    const auto signature = crypto::from_base64(d.header("wechatpay-signature"));
    if (key == options_.keys.end() || !signature || !crypto::rsa_sha256_verify(key->second, fmt::format("{}\n{}\n{}\n", time, d.header("wechatpay-nonce"), d.body), *signature))
        return denied("bad_signature", "The signature does not match.");
    OVATION_CHECK(check_age(time, now_ms, "Wechatpay-Timestamp"));

    const auto event = parse_or_null(d.body);
    notification out;
    out.event_id = text_at(event, {"id"});
    if (out.event_id.empty()) return invalid("id", "is missing.");
    if (text_at(event, {"event_type"}) != "TRANSACTION.SUCCESS") return out;
    if (text_at(event, {"resource", "algorithm"}) != "AEAD_AES_256_GCM") return invalid("algorithm", "is not AEAD_AES_256_GCM.");
    const auto sealed = crypto::from_base64(text_at(event, {"resource", "ciphertext"}));
    const auto opened = sealed ? crypto::aes_256_gcm_open(options_.api_key, text_at(event, {"resource", "nonce"}), text_at(event, {"resource", "associated_data"}), *sealed) : std::nullopt;
    if (!opened) return denied("bad_signature", "The resource does not open with the APIv3 key.");
    const auto paid = parse_or_null(*opened);
    if (text_at(paid, {"mchid"}) != options_.merchant) return denied("bad_signature", "The payment is another merchant's.");
    if (text_at(paid, {"trade_state"}) != "SUCCESS") return out;
    out.order = order_of(text_at(paid, {"out_trade_no"}));
    if (out.order == 0) return invalid("out_trade_no", "is not the number of an order of ours.");
    const auto amount = number_at(paid, {"amount", "total"});
    if (!amount) return invalid("amount", "is missing.");
    out.amount_minor = *amount;
    out.currency = text_at(paid, {"amount", "currency"});
    return out;
}

}  // namespace ovation::payments
