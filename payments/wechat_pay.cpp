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

namespace {
// Theirs has six characters or more.
std::string number_of(std::int64_t order) { return fmt::format("{:08}", order); }
}  // namespace

// Signed by our key over method, target, time, nonce and body; the answer by one of the platform's.
awaitable<result<http_reply>> wechat_pay::call(http_call what, std::int64_t now_ms) const {
    const auto nonce = crypto::random_token();
    const auto time = now_ms / 1000;
    const auto signature = crypto::rsa_sha256_sign(options_.private_key, fmt::format("{}\n{}\n{}\n{}\n{}\n", what.method, what.target, time, nonce, what.body));
    if (!signature) co_return internal_fault("the key of WeChat Pay does not sign");
    what.headers.emplace_back("Authorization", fmt::format(R"(WECHATPAY2-SHA256-RSA2048 mchid="{}",nonce_str="{}",signature="{}",timestamp="{}",serial_no="{}")", options_.merchant, nonce, crypto::base64(*signature), time, options_.serial));
    what.headers.emplace_back("Accept", "application/json");
    if (!what.body.empty()) what.headers.emplace_back("Content-Type", "application/json");
    OVATION_CO_TRY(auto reply, co_await fetch(options_.server, std::move(what), provider_answers_within));
    const auto key = options_.keys.find(reply.header("wechatpay-serial"));
    const auto theirs = crypto::from_base64(reply.header("wechatpay-signature"));
    if (key == options_.keys.end() || !theirs || !crypto::rsa_sha256_verify(key->second, fmt::format("{}\n{}\n{}\n", reply.header("wechatpay-timestamp"), reply.header("wechatpay-nonce"), reply.body), *theirs))
        co_return provider_refused(reply, "the answer is not signed by the platform");
    co_return reply;
}

awaitable<result<std::optional<payment_begun>>> wechat_pay::begin(payment_order order, std::int64_t now_ms) const {
    if (options_.private_key.empty()) co_return std::nullopt;
    const boost::json::object body{{"appid", options_.app_id}, {"mchid", options_.merchant}, {"description", "Coins"}, {"out_trade_no", number_of(order.id)}, {"notify_url", options_.notify_url},
                                   {"amount", {{"total", order.amount_minor}, {"currency", order.currency}}}};
    OVATION_CO_TRY(const auto reply, co_await call({"POST", "/v3/pay/transactions/native", {}, boost::json::serialize(body)}, now_ms));
    const auto answer = parse_or_null(reply.body);
    payment_begun out{number_of(order.id), text_at(answer, {"code_url"})};
    if (reply.status != 200 || out.pay_url.empty()) co_return provider_refused(reply, text_at(answer, {"message"}));
    co_return out;
}

awaitable<result<std::optional<payment_standing>>> wechat_pay::ask(payment_order order, std::int64_t now_ms) const {
    if (options_.private_key.empty()) co_return std::nullopt;
    OVATION_CO_TRY(const auto reply, co_await call({"GET", fmt::format("/v3/pay/transactions/out-trade-no/{}?mchid={}", number_of(order.id), url_encoded(options_.merchant)), {}, {}}, now_ms));
    const auto answer = parse_or_null(reply.body);
    payment_standing out;
    if (reply.status == 404 && text_at(answer, {"code"}) == "ORDER_NOT_EXIST") {
        out.now = payment_standing::state::over;
        co_return out;
    }
    if (reply.status != 200 || order_of(text_at(answer, {"out_trade_no"})) != order.id) co_return provider_refused(reply, text_at(answer, {"message"}));
    const auto state = text_at(answer, {"trade_state"});
    if (state == "SUCCESS") out.now = payment_standing::state::paid;
    else if (state == "CLOSED" || state == "REVOKED" || state == "PAYERROR") out.now = payment_standing::state::over;
    out.amount_minor = number_at(answer, {"amount", "total"}).value_or(0);
    out.currency = text_at(answer, {"amount", "currency"});
    co_return out;
}

// The same number again is the same refund, and says how it stands.
awaitable<result<std::optional<refund_standing>>> wechat_pay::refund(refund_order order, std::int64_t now_ms) const {
    if (options_.private_key.empty()) co_return std::nullopt;
    const boost::json::object body{{"out_trade_no", number_of(order.of.id)}, {"out_refund_no", number_of(order.number)},
                                   {"amount", {{"refund", order.minor}, {"total", order.of.amount_minor}, {"currency", order.of.currency}}}};
    OVATION_CO_TRY(const auto reply, co_await call({"POST", "/v3/refund/domestic/refunds", {}, boost::json::serialize(body)}, now_ms));
    const auto answer = parse_or_null(reply.body);
    if (reply.status != 200 || order_of(text_at(answer, {"out_refund_no"})) != order.number) co_return refund_refused(reply, text_at(answer, {"message"}));
    const auto status = text_at(answer, {"status"});
    refund_standing out{refund_standing::state::open, text_at(answer, {"refund_id"}), {}};
    if (status == "SUCCESS") out.now = refund_standing::state::sent;
    else if (status == "CLOSED" || status == "ABNORMAL") out = {refund_standing::state::refused, out.reference, status};
    co_return out;
}

}  // namespace ovation::payments
