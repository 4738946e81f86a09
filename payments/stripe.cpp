#include "payments/stripe.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/crypto.hpp"
#include "payments/internal/json.hpp"

namespace ovation::payments {

std::string stripe::signature_of(std::string_view secret, std::string_view t, std::string_view body) {
    return crypto::to_hex(crypto::hmac_sha256(secret, fmt::format("{}.{}", t, body)));
}

result<notification> stripe::read(const delivery& d, std::int64_t now_ms) const {
    // t=…,v1=…[,v1=…][,v0=…]
    std::string_view t;
    std::vector<std::string_view> given;
    for (auto rest = d.header("stripe-signature"); !rest.empty();) {
        const auto cut = rest.find(',');
        const auto item = rest.substr(0, cut);
        if (item.starts_with("t=")) t = item.substr(2);
        if (item.starts_with("v1=")) given.push_back(item.substr(3));
        rest.remove_prefix(cut == rest.npos ? rest.size() : cut + 1);
    }
    const auto right = signature_of(secret_, t, d.body);
    bool matched = false;
    for (const auto one : given) matched |= crypto::equal_constant_time(one, right);
    if (!matched) return denied("bad_signature", "The signature does not match.");
    OVATION_CHECK(check_age(t, now_ms, "Stripe-Signature"));

    const auto event = parse_or_null(d.body);
    notification out;
    out.event_id = text_at(event, {"id"});
    if (out.event_id.empty()) return invalid("id", "is missing.");
    const auto type = text_at(event, {"type"});
    // Others, and sessions that are not paid yet, are only acknowledged.
    if (type != "checkout.session.completed" && type != "checkout.session.async_payment_succeeded") return out;
    if (text_at(event, {"data", "object", "payment_status"}) != "paid") return out;
    out.order = order_of(text_at(event, {"data", "object", "client_reference_id"}));
    if (out.order == 0) return invalid("client_reference_id", "is not the number of an order of ours.");
    const auto amount = number_at(event, {"data", "object", "amount_total"});
    if (!amount) return invalid("amount_total", "is missing.");
    out.amount_minor = *amount;
    out.currency = text_at(event, {"data", "object", "currency"});
    std::ranges::transform(out.currency, out.currency.begin(), [](char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); });
    return out;
}

// With a key, what is asked twice is done once. (By value: they live as long as the coroutine.)
awaitable<result<http_reply>> stripe::call(std::string method, std::string target, std::string key, form fields) const {
    http_call out{std::move(method), std::move(target), {{"Authorization", "Bearer " + api_.key}}, {}};
    if (!key.empty()) out.headers.emplace_back("Idempotency-Key", std::move(key));
    if (!fields.empty()) out.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    for (const auto& [name, value] : fields) out.body += (out.body.empty() ? "" : "&") + url_encoded(name) + "=" + url_encoded(value);
    co_return co_await fetch(api_.server, std::move(out), provider_answers_within);
}

awaitable<result<std::optional<payment_begun>>> stripe::begin(payment_order order, std::int64_t) const {
    if (api_.key.empty()) co_return std::nullopt;
    auto currency = order.currency;
    std::ranges::transform(currency, currency.begin(), [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
    const auto number = std::to_string(order.id);
    const form fields{
        {"mode", "payment"}, {"client_reference_id", number}, {"payment_intent_data[metadata][order]", number}, {"line_items[0][quantity]", "1"},
        {"line_items[0][price_data][currency]", currency}, {"line_items[0][price_data][unit_amount]", std::to_string(order.amount_minor)},
        {"line_items[0][price_data][product_data][name]", "Coins"}, {"success_url", api_.return_url}, {"cancel_url", api_.return_url}};
    OVATION_CO_TRY(const auto reply, co_await call("POST", "/v1/checkout/sessions", "ovation-order-" + number, fields));
    const auto session = parse_or_null(reply.body);
    payment_begun out{text_at(session, {"id"}), text_at(session, {"url"})};
    if (reply.status != 200 || out.reference.empty() || out.pay_url.empty()) co_return provider_refused(reply, text_at(session, {"error", "message"}));
    co_return out;
}

awaitable<result<std::optional<payment_standing>>> stripe::ask(payment_order order, std::int64_t) const {
    if (api_.key.empty() || order.reference.empty()) co_return std::nullopt;
    OVATION_CO_TRY(const auto reply, co_await call("GET", "/v1/checkout/sessions/" + url_encoded(order.reference)));
    const auto session = parse_or_null(reply.body);
    if (reply.status != 200 || text_at(session, {"client_reference_id"}) != std::to_string(order.id)) co_return provider_refused(reply, text_at(session, {"error", "message"}));
    payment_standing out;
    if (text_at(session, {"payment_status"}) == "paid") out.now = payment_standing::state::paid;
    else if (text_at(session, {"status"}) == "expired") out.now = payment_standing::state::over;
    out.amount_minor = number_at(session, {"amount_total"}).value_or(0);
    out.currency = text_at(session, {"currency"});
    std::ranges::transform(out.currency, out.currency.begin(), [](char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); });
    co_return out;
}

// Of the payment that the order's session has led to.
awaitable<result<std::optional<refund_standing>>> stripe::refund(refund_order order, std::int64_t) const {
    if (api_.key.empty() || order.of.reference.empty()) co_return std::nullopt;
    std::optional<http_reply> reply;
    if (order.reference.empty()) {
        OVATION_CO_TRY(const auto session, co_await call("GET", "/v1/checkout/sessions/" + url_encoded(order.of.reference)));
        const auto payment = text_at(parse_or_null(session.body), {"payment_intent"});
        if (session.status != 200 || payment.empty()) co_return refund_refused(session, text_at(parse_or_null(session.body), {"error", "message"}));
        const auto number = std::to_string(order.number);
        // An answer may have been lost longer ago than Stripe remembers the key of a request: whether it is there already comes first.
        OVATION_CO_TRY(const auto made, co_await call("GET", "/v1/refunds?limit=100&payment_intent=" + url_encoded(payment)));
        const auto listed = parse_or_null(made.body);
        const auto* data = at_path(listed, {"data"});
        if (made.status != 200 || !data || !data->is_array()) co_return refund_refused(made, text_at(listed, {"error", "message"}));
        for (const auto& one : data->get_array())
            if (text_at(one, {"metadata", "refund"}) == number) order.reference = text_at(one, {"id"});
        if (order.reference.empty()) {
            OVATION_CO_TRY(reply, co_await call("POST", "/v1/refunds", "ovation-refund-" + number, {{"payment_intent", payment}, {"amount", std::to_string(order.minor)}, {"metadata[refund]", number}}));
        }
    }
    if (!reply) {
        OVATION_CO_TRY(reply, co_await call("GET", "/v1/refunds/" + url_encoded(order.reference)));
    }
    const auto answer = parse_or_null(reply->body);
    refund_standing out{refund_standing::state::open, text_at(answer, {"id"}), text_at(answer, {"failure_reason"})};
    if (reply->status != 200 || out.reference.empty()) co_return refund_refused(*reply, text_at(answer, {"error", "message"}));
    const auto status = text_at(answer, {"status"});
    if (status == "succeeded") out.now = refund_standing::state::sent;
    else if (status == "failed" || status == "canceled") out.now = refund_standing::state::refused;
    co_return out;
}

}  // namespace ovation::payments
