#include "payments/alipay.hpp"

#include <chrono>
#include <cstdio>

#include "base/crypto.hpp"
#include "payments/internal/json.hpp"

namespace ovation::payments {
namespace {
constexpr std::int64_t retries_s = 26 * 3600;  // Alipay sends a notification again for 25 hours

// %XX and + of a form; nothing where it is broken.
std::optional<std::string> decoded(std::string_view text) {
    std::string out;
    const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i] == '+' ? ' ' : text[i];
            continue;
        }
        if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return std::nullopt;
        out += static_cast<char>(digit(text[i + 1]) << 4 | digit(text[i + 2]));
        i += 2;
    }
    return out;
}
// "2026-11-21 20:15:00" of China's clocks, which know no summer time.
std::optional<std::int64_t> seconds_of(const std::string& text) {
    int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
    char more = 0;
    if (std::sscanf(text.c_str(), "%4d-%2d-%2d %2d:%2d:%2d%c", &y, &mo, &d, &h, &mi, &s, &more) != 6) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(y), std::chrono::month(static_cast<unsigned>(mo)), std::chrono::day(static_cast<unsigned>(d))};
    if (!date.ok() || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 60) return std::nullopt;
    return std::chrono::sys_days(date).time_since_epoch().count() * 86'400LL + h * 3600 + mi * 60 + s - 8 * 3600;
}
}  // namespace

result<notification> alipay::read(const delivery& d, std::int64_t now_ms) const {
    std::map<std::string, std::string> fields;  // sorted
    for (auto rest = d.body; !rest.empty();) {
        const auto cut = rest.find('&');
        const auto pair = rest.substr(0, cut);
        const auto equals = pair.find('=');
        const auto name = decoded(pair.substr(0, equals)), value = equals == pair.npos ? std::optional<std::string>("") : decoded(pair.substr(equals + 1));
        // A field that is there twice could say one thing to us and another to the signature.
        if (!name || !value || !fields.emplace(*name, *value).second) return denied("bad_signature", "The form cannot be read.");
        rest.remove_prefix(cut == rest.npos ? rest.size() : cut + 1);
    }
    const auto signature = crypto::from_base64(fields["sign"]);
    if (fields["sign_type"] != "RSA2") return denied("bad_signature", "The signature is not RSA2.");
    fields.erase("sign");
    fields.erase("sign_type");
    std::string text;
    for (const auto& [name, value] : fields) text += (text.empty() ? "" : "&") + name + "=" + value;
    if (!signature || !crypto::rsa_sha256_verify(options_.public_key, text, *signature)) return denied("bad_signature", "The signature does not match.");
    const auto at = seconds_of(fields["notify_time"]);
    if (!at || *at > now_ms / 1000 + tolerance_s || *at < now_ms / 1000 - retries_s) return denied("stale_notification", "The notification is older than 26 hours, or from the future.");
    if (fields["app_id"] != options_.app_id || fields["seller_id"] != options_.seller_id) return denied("bad_signature", "The payment is another application's.");

    notification out;
    out.event_id = fields["notify_id"];
    if (out.event_id.empty()) return invalid("notify_id", "is missing.");
    if (fields["trade_status"] != "TRADE_SUCCESS" && fields["trade_status"] != "TRADE_FINISHED") return out;
    out.order = order_of(fields["out_trade_no"]);
    if (out.order == 0) return invalid("out_trade_no", "is not the number of an order of ours.");
    const auto amount = minor_of(fields["total_amount"]);
    if (!amount) return invalid("total_amount", "is not an amount in yuan.");
    out.amount_minor = *amount;
    out.currency = "CNY";
    return out;
}

}  // namespace ovation::payments
