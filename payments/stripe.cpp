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

}  // namespace ovation::payments
