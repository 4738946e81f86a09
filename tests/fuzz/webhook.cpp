// A provider's notification, in four parts: id, timestamp, other signatures, body. Unsigned it is refused whatever it says;
// signed it is never refused for its signature; one bit changed, it is again.
#include "payments/sandbox.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ovation;
using namespace ovation::payments::sandbox;

namespace {
constexpr std::string_view key = "a key of the installation";
constexpr std::int64_t now_ms = 1'700'000'000'000;
bool whole_number(std::string_view t) { return !t.empty() && t.size() <= 18 && t.find_first_not_of("0123456789") == std::string_view::npos; }
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto in = fuzz::bytes(data, size);
    signed_headers headers;
    headers.id = fuzz::take_until(in, '\n');
    headers.timestamp = fuzz::take_until(in, '\n');
    headers.signature = fuzz::take_until(in, '\n');
    std::string body(in);
    const auto forged = read(key, headers, body, now_ms);
    PROPERTY(!forged && forged.error().reason == "bad_signature");

    headers.signature += " " + sign(key, headers.id, headers.timestamp, body);
    const auto good = read(key, headers, body, now_ms);
    if (!good) PROPERTY(good.error().reason != "bad_signature" || !whole_number(headers.timestamp));
    else {
        PROPERTY(good->event_id == headers.id && !good->event_id.empty() && good->order > 0);
        const auto at = std::stoll(headers.timestamp);
        PROPERTY(at >= now_ms / 1000 - tolerance_s && at <= now_ms / 1000 + tolerance_s);
    }
    if (body.empty()) return 0;
    body[size % body.size()] = static_cast<char>(body[size % body.size()] ^ 1);
    const auto changed = read(key, headers, body, now_ms);
    PROPERTY(!changed && changed.error().reason == "bad_signature");
    return 0;
}
