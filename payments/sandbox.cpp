#include "payments/sandbox.hpp"

#include <spdlog/fmt/fmt.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <charconv>

#include "base/crypto.hpp"

namespace ovation::payments::sandbox {

std::string body_of(const notification& n) {
    return fmt::format(R"({{"event":"payment.succeeded","event_id":"{}","order_id":{},"amount_minor":{},"currency":"{}"}})", n.event_id, n.order, n.amount_minor, n.currency);
}

std::string sign(std::string_view key, std::string_view id, std::string_view timestamp, std::string_view body) {
    const auto digest = crypto::hmac_sha256(key, fmt::format("{}.{}.{}", id, timestamp, body));
    return "v1," + crypto::base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

result<notification> read(std::string_view key, const signed_headers& headers, std::string_view body, std::int64_t now_ms) {
    std::int64_t at_s = 0;
    const auto [end, bad] = std::from_chars(headers.timestamp.data(), headers.timestamp.data() + headers.timestamp.size(), at_s);
    if (bad != std::errc{} || end != headers.timestamp.data() + headers.timestamp.size()) return denied("bad_signature", "webhook-timestamp is not a number.");
    // Several signatures, apart by blanks; any may match.
    const auto right = sign(key, headers.id, headers.timestamp, body);
    bool matched = false;
    std::string_view rest = headers.signature;
    while (!rest.empty()) {
        const auto cut = rest.find(' ');
        matched |= crypto::equal_constant_time(rest.substr(0, cut), right);
        rest.remove_prefix(cut == std::string_view::npos ? rest.size() : cut + 1);
    }
    if (!matched) return denied("bad_signature", "The signature does not match.");
    if (at_s < now_ms / 1000 - tolerance_s || at_s > now_ms / 1000 + tolerance_s) return denied("stale_notification", "The notification is older or newer than 300 s.");

    boost::system::error_code failed;
    const auto json = boost::json::parse(boost::json::string_view(body.data(), body.size()), failed);
    const auto* object = failed ? nullptr : json.if_object();
    if (!object) return invalid("body", "is not a JSON object.");
    const auto text = [&](const char* name) -> std::string {
        const auto* v = object->if_contains(name);
        return v && v->is_string() ? std::string(v->get_string()) : std::string();
    };
    const auto number = [&](const char* name) -> std::int64_t {
        const auto* v = object->if_contains(name);
        return v && v->is_int64() ? v->get_int64() : 0;
    };
    if (text("event") != "payment.succeeded") return invalid("event", "is not one that this provider sends.");
    notification out{text("event_id"), number("order_id"), number("amount_minor"), text("currency")};
    if (out.event_id.empty() || out.event_id != headers.id) return invalid("event_id", "differs from webhook-id.");
    if (out.order <= 0) return invalid("order_id", "is missing.");
    return out;
}

awaitable<result<std::optional<refund_standing>>> way_to_pay::refund(refund_order order, std::int64_t) const {
    co_return refund_standing{refund_standing::state::sent, fmt::format("sandbox-refund-{}", order.number), {}};
}

}  // namespace ovation::payments::sandbox
