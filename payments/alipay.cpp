#include "payments/alipay.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include <spdlog/fmt/fmt.h>

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

namespace {
// The time of China's clocks, as Alipay writes it.
std::string china_time(std::int64_t now_ms) {
    const auto s = now_ms / 1000 + 8 * 3600;
    const std::chrono::year_month_day day{std::chrono::sys_days(std::chrono::days(s / 86'400))};
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()), s / 3600 % 24, s / 60 % 60, s % 60);
}
// The bytes of an object's member as they stand in the text: what Alipay has signed.
std::string_view raw_member(std::string_view text, std::string_view name) {
    const auto at = text.find(fmt::format("\"{}\":{{", name));
    if (at == text.npos) return {};
    const auto first = text.find('{', at);
    int depth = 0;
    bool quoted = false;
    for (auto i = first; i < text.size(); ++i) {
        if (quoted && text[i] == '\\') ++i;
        else if (text[i] == '"') quoted = !quoted;
        else if (!quoted && text[i] == '{') ++depth;
        else if (!quoted && text[i] == '}' && --depth == 0) return text.substr(first, i + 1 - first);
    }
    return {};
}
}  // namespace

result<std::string> alipay::signed_form(std::string_view method, std::string biz_content, std::int64_t now_ms) const {
    std::map<std::string, std::string> fields{{"app_id", options_.app_id}, {"method", std::string(method)}, {"format", "JSON"}, {"charset", "utf-8"}, {"sign_type", "RSA2"},
                                              {"timestamp", china_time(now_ms)}, {"version", "1.0"}, {"biz_content", std::move(biz_content)}};
    if (method == "alipay.trade.page.pay") {
        fields["return_url"] = options_.return_url;
        fields["notify_url"] = options_.notify_url;
    }
    std::string text;
    for (const auto& [name, value] : fields) text += (text.empty() ? "" : "&") + name + "=" + value;
    const auto signature = crypto::rsa_sha256_sign(options_.private_key, text);
    if (!signature) return internal_fault("the key of Alipay does not sign");
    fields["sign"] = crypto::base64(*signature);
    std::string out;
    for (const auto& [name, value] : fields) out += (out.empty() ? "" : "&") + url_encoded(name) + "=" + url_encoded(value);
    return out;
}

// The page of the payment is an address that we sign; nothing is asked of Alipay.
awaitable<result<std::optional<payment_begun>>> alipay::begin(payment_order order, std::int64_t now_ms) const {
    if (options_.private_key.empty()) co_return std::nullopt;
    const auto number = std::to_string(order.id);
    const boost::json::object content{{"out_trade_no", number}, {"product_code", "FAST_INSTANT_TRADE_PAY"}, {"total_amount", decimal_of(order.amount_minor)}, {"subject", "Coins"}};
    OVATION_CO_TRY(const auto form, signed_form("alipay.trade.page.pay", boost::json::serialize(content), now_ms));
    co_return payment_begun{number, options_.server.url + "?" + form};
}

// An answer that Alipay has signed: its content.
awaitable<result<boost::json::value>> alipay::call(std::string method, boost::json::object content, std::int64_t now_ms) const {
    OVATION_CO_TRY(auto form, signed_form(method, boost::json::serialize(content), now_ms));
    const auto slash = options_.server.url.find('/', options_.server.url.find("//") + 2);
    http_call what{"POST", slash == std::string::npos ? "/" : options_.server.url.substr(slash), {{"Content-Type", "application/x-www-form-urlencoded"}}, std::move(form)};
    OVATION_CO_TRY(const auto reply, co_await fetch(options_.server, std::move(what), provider_answers_within));
    std::ranges::replace(method, '.', '_');
    const auto raw = raw_member(reply.body, method + "_response");
    const auto signature = crypto::from_base64(text_at(parse_or_null(reply.body), {"sign"}));
    if (reply.status != 200 || raw.empty() || !signature || !crypto::rsa_sha256_verify(options_.public_key, raw, *signature)) co_return provider_refused(reply, "the answer is not signed by Alipay");
    co_return parse_or_null(raw);
}
namespace {
bool accepted(const boost::json::value& answer) { return text_at(answer, {"code"}) == "10000"; }
// Of a question that was refused.
fault not_taken(const boost::json::value& answer) { return provider_refused({200, {}, {}}, text_at(answer, {"sub_code"}) + " " + text_at(answer, {"sub_msg"})); }
}  // namespace

awaitable<result<std::optional<payment_standing>>> alipay::ask(payment_order order, std::int64_t now_ms) const {
    if (options_.private_key.empty()) co_return std::nullopt;
    OVATION_CO_TRY(const auto answer, co_await call("alipay.trade.query", {{"out_trade_no", std::to_string(order.id)}}, now_ms));
    payment_standing out;
    if (!accepted(answer)) {
        if (text_at(answer, {"sub_code"}) != "ACQ.TRADE_NOT_EXIST") co_return not_taken(answer);
        out.now = payment_standing::state::over;  // nobody came to the page
        co_return out;
    }
    if (text_at(answer, {"out_trade_no"}) != std::to_string(order.id)) co_return provider_refused({200, {}, {}}, "the answer is about another order");
    const auto state = text_at(answer, {"trade_status"});
    if (state == "TRADE_SUCCESS" || state == "TRADE_FINISHED") out.now = payment_standing::state::paid;
    else if (state == "TRADE_CLOSED") out.now = payment_standing::state::over;
    out.amount_minor = minor_of(text_at(answer, {"total_amount"})).value_or(0);
    out.currency = "CNY";
    co_return out;
}

// The same number again is the same refund; whether the money moved is asked where that answer does not say so.
awaitable<result<std::optional<refund_standing>>> alipay::refund(refund_order order, std::int64_t now_ms) const {
    if (options_.private_key.empty()) co_return std::nullopt;
    const auto trade = std::to_string(order.of.id), number = std::to_string(order.number);
    OVATION_CO_TRY(const auto begun, co_await call("alipay.trade.refund", {{"out_trade_no", trade}, {"out_request_no", number}, {"refund_amount", decimal_of(order.minor)}}, now_ms));
    if (!accepted(begun)) {
        // 40004: the business says no; the others are for now.
        if (text_at(begun, {"code"}) != "40004" || text_at(begun, {"sub_code"}) == "ACQ.SYSTEM_ERROR") co_return not_taken(begun);
        co_return refund_standing{refund_standing::state::refused, {}, text_at(begun, {"sub_code"})};
    }
    refund_standing out{refund_standing::state::open, number, {}};
    if (text_at(begun, {"fund_change"}) == "Y") out.now = refund_standing::state::sent;
    if (out.now == refund_standing::state::sent) co_return out;
    OVATION_CO_TRY(const auto asked, co_await call("alipay.trade.fastpay.refund.query", {{"out_trade_no", trade}, {"out_request_no", number}}, now_ms));
    if (accepted(asked) && text_at(asked, {"refund_status"}) == "REFUND_SUCCESS") out.now = refund_standing::state::sent;
    co_return out;
}

}  // namespace ovation::payments
