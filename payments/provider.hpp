// What every way to pay has in common: a notification comes as raw bytes with headers, is proven to be the provider's, and says
// which of our orders was paid with how much; a payment begins there, and can be asked after. The exact schemes are those of each provider's documents (rules.md section 11).
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/http_client.hpp"

namespace ovation::payments {

inline constexpr std::int64_t tolerance_s = 300;  // of a notification's time, both sides

// As it came. Header names in small letters; an absent one is empty.
struct delivery {
    std::function<std::string_view(const std::string& name)> header;
    std::string_view body;
};
struct notification {
    std::string event_id;            // unique at the provider
    std::int64_t order = 0;          // ours; 0: the event is none that moves money, and is only acknowledged
    std::int64_t amount_minor = 0;
    std::string currency;            // ISO 4217, capitals
};

// An order as its provider knows it.
struct payment_order {
    std::int64_t id = 0, amount_minor = 0;
    std::string currency, reference;   // the provider's name for it; empty: it has not begun
};
struct payment_begun {
    std::string reference, pay_url;
};
struct payment_standing {
    enum class state { open, paid, over };
    state now = state::open;
    std::int64_t amount_minor = 0;     // of what is paid
    std::string currency;
};
// Money back for an order that was paid. `number`: ours for it, so that the same question is the same refund.
struct refund_order {
    payment_order of;
    std::int64_t number = 0, minor = 0;
    std::string reference;             // the provider's name for it; empty: none yet
};
struct refund_standing {
    enum class state { open, sent, refused };
    state now = state::open;
    std::string reference, why;
};
inline constexpr auto provider_answers_within = std::chrono::seconds(8);
// What a provider answered that is no answer to our question.
fault provider_refused(const http_reply& reply, std::string_view why);
// The answer to a refund that is not what it should be: refused for good, or (busy, a fault of theirs) a fault.
result<std::optional<refund_standing>> refund_refused(const http_reply& reply, std::string_view why);

class provider {
public:
    // Begins the payment there; the same order again is the same payment. Nothing: it is begun elsewhere, with our number.
    virtual awaitable<result<std::optional<payment_begun>>> begin(payment_order, std::int64_t) const { co_return std::nullopt; }
    // How it stands there. Nothing: this provider cannot be asked.
    virtual awaitable<result<std::optional<payment_standing>>> ask(payment_order, std::int64_t) const { co_return std::nullopt; }
    // Sends it, or says how it stands. Nothing: it goes back by hand. A fault: not known, to be asked again.
    virtual awaitable<result<std::optional<refund_standing>>> refund(refund_order, std::int64_t) const { co_return std::nullopt; }

    virtual ~provider() = default;
    // Signature and age first, over the raw bytes; then the content.
    [[nodiscard]] virtual result<notification> read(const delivery& d, std::int64_t now_ms) const = 0;
    // What the provider wants to hear.
    [[nodiscard]] virtual std::string_view thanks() const { return "ok\n"; }
};
using providers = std::map<std::string, std::unique_ptr<provider>, std::less<>>;

// Seconds since 1970 within the tolerance, or the refusal.
result<void> check_age(std::string_view unix_seconds, std::int64_t now_ms, std::string_view header);
// An order's number as we gave it away: digits, above 0; else 0.
std::int64_t order_of(std::string_view text);
// "12.34" or "12" of a currency with two decimals: 1234. No sign, no exponent, no third digit.
std::optional<std::int64_t> minor_of(std::string_view decimal);
std::string decimal_of(std::int64_t minor);  // and back; not below 0

}  // namespace ovation::payments
