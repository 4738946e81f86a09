#include "tests/support/catch.hpp"

#include "base/config.hpp"
#include "base/crypto.hpp"
#include "base/metrics.hpp"
#include "base/money.hpp"
#include "base/rate_limiter.hpp"
#include "base/text.hpp"
#include "base/uuid.hpp"
#include "identity/tokens.hpp"
#include "payments/sandbox.hpp"
#include "server/connect.hpp"

using namespace ovation;

TEST_CASE("uuid: version 7 carries its time, text goes there and back") {
    const auto u = uuid::make_v7(1'763'700'000'123);
    CHECK(u.version() == 7);
    CHECK(u.time_ms() == 1'763'700'000'123);
    CHECK(uuid::parse(u.text()) == u);
    for (const char* bad : {"", "0190", "01907e1a-0000-7000-8000-00000000000g", "01907e1a00007000800000000000000000000"}) CHECK_FALSE(uuid::parse(bad));
}
TEST_CASE("money: a product that does not fit is noticed") {
    CHECK(coins{5}.to_micros()->value == 50'000);
    CHECK_FALSE(coins{INT64_MAX / 2}.to_micros());
}
TEST_CASE("text: characters are counted in valid UTF-8 only, disguises are seen") {
    CHECK(text::characters("茉莉花") == 3);
    CHECK_FALSE(text::characters("\xed\xa0\x80"));
    CHECK(text::has_control("a\tb"));
    CHECK(text::has_control("a\xe2\x80\xae" "b"));
    CHECK(text::has_control("a\xd8\x9c" "b"));  // U+061C
    CHECK_FALSE(text::has_control("晚上好"));
    CHECK_FALSE(text::has_control("مساء"));
    CHECK(text::trim("  a b \n") == "a b");
}
TEST_CASE("rate limiter: a burst, then the rate, and an honest hint") {
    virtual_clock_source clock(1'000);
    rate_limiter<int> limiter(clock, {10, 30});
    for (int i = 0; i < 30; ++i) REQUIRE(limiter.take(1) == 0);
    const auto wait = limiter.take(1);
    CHECK(wait > 0);
    CHECK(limiter.take(2) == 0);
    clock.advance(wait);
    CHECK(limiter.take(1) == 0);
}
TEST_CASE("tokens: forged, cut and expired ones are refused") {
    const identity::token_codec codec("key"), other("another key");
    caller who;
    who.user = user_id(7);
    who.session = session_id(9);
    who.roles.add(3);
    who.name = "晚风.歌手";
    const auto token = codec.make(who, 1'000);
    const auto read = codec.read(token, 999);
    REQUIRE(read);
    CHECK(read->user == who.user);
    CHECK(read->session == who.session);
    CHECK(read->roles.has(3));
    CHECK(read->name == who.name);
    CHECK_FALSE(codec.read(token, 1'000));
    CHECK_FALSE(other.read(token, 1));
    for (std::size_t i = 0; i < token.size(); ++i) {
        auto forged = token;
        forged[i] = forged[i] == 'A' ? 'B' : 'A';
        CHECK_FALSE(codec.read(forged, 1));
        CHECK_FALSE(codec.read(token.substr(0, i), 1));
    }
}
TEST_CASE("passwords: Argon2id, the right one and no other") {
    const auto hash = crypto::hash_password("ovation-demo");
    CHECK(hash.starts_with("$argon2id$"));
    CHECK(crypto::verify_password(hash, "ovation-demo"));
    CHECK_FALSE(crypto::verify_password(hash, "ovation-dem0"));
}
TEST_CASE("sandbox: the Standard Webhooks vector, and both edges of the tolerance") {
    using namespace payments::sandbox;
    CHECK(sign("0123456789abcdef0123456789abcdef", "msg_1", "1700000000", R"({"a":1})") == "v1,rkwp5YuvdrMkcu0ZhuMsXoTg44mHAr1Q0+FFgFpXsjY=");
    const notification n{"sandbox-5", 5, 3000, "CNY"};
    const auto body = body_of(n);
    const signed_headers good{"sandbox-5", "1700000000", sign("k", "sandbox-5", "1700000000", body)};
    const std::int64_t at = 1'700'000'000'000;
    REQUIRE(read("k", good, body, at));
    CHECK(read("k", good, body, at)->amount_minor == 3000);
    CHECK(read("k", good, body, at + 300'000));
    CHECK(read("k", good, body, at - 300'000));
    CHECK(read("k", good, body, at + 301'000).error().reason == "stale_notification");
    CHECK(read("k", good, body, at - 301'000).error().reason == "stale_notification");
    const signed_headers far{"sandbox-5", "-9223372036854775808", sign("k", "sandbox-5", "-9223372036854775808", body)};
    CHECK(read("k", far, body, at).error().reason == "stale_notification");
    CHECK(read("wrong", good, body, at).error().reason == "bad_signature");
    CHECK(read("k", good, body + " ", at).error().reason == "bad_signature");
    CHECK(read("k", {"sandbox-6", "1700000000", good.signature}, body, at).error().reason == "bad_signature");
    CHECK(read("k", {"sandbox-5", "1700000000", "v1,xxxx " + good.signature}, body, at));
}
TEST_CASE("JSON at the edge: duplicate keys, depth, bad UTF-8 and what follows are refused") {
    using server::check_json;
    CHECK(check_json(R"({"a":{"a":1},"b":[{"a":1},{"a":2}]})"));
    CHECK(check_json(R"({"a":1,"a":2})").error().field == "a");
    CHECK(check_json(R"({"a":{"b":1,"c":2,"b":3}})").error().field == "b");
    CHECK(check_json(std::string(32, '[') + std::string(32, ']')));
    CHECK_FALSE(check_json(std::string(33, '[') + std::string(33, ']')));
    CHECK_FALSE(check_json("{\"a\":\"\xed\xa0\x80\"}"));
    CHECK_FALSE(check_json("{} x"));
    CHECK_FALSE(check_json("{"));
}
TEST_CASE("config: a wrong value names its setting, an unknown key is an error, secrets are hidden") {
    config c;
    const auto find = [](const std::string& name) {
        for (const auto& s : settings())
            if (name == s.name) return s;
        throw std::runtime_error(name);
    };
    CHECK(assign(c, find("port"), "9000"));
    CHECK(c.port == 9000);
    CHECK(assign(c, find("port"), "65536").error().field == "port");
    CHECK(assign(c, find("port"), "80x").error().field == "port");
    CHECK(assign(c, find("demo"), "yes").error().field == "demo");
    CHECK(flag_of(find("vat_bp")) == "--vat-bp");
    CHECK(variable_of(find("vat_bp")) == "OVATION_VAT_BP");
    c.database = "password=hush-hush";
    c.stripe_secret = c.wechat_api_key = c.sandbox_key = "hush-hush";
    CHECK(effective(c).find("hush-hush") == std::string::npos);
    c.words_file = "a\nport = \"1\"";
    CHECK(effective(c).find(R"(words_file = "a\nport = \"1\"")") != std::string::npos);
}

TEST_CASE("histogram: quantiles of what came between two looks") {
    histogram h;
    const auto before = h.now();
    CHECK(histogram::quantile(before, h.now(), 0.99) == 0);
    for (int i = 0; i < 90; ++i) h.observe(0.0015);
    for (int i = 0; i < 10; ++i) h.observe(0.15);
    const auto after = h.now();
    CHECK(histogram::quantile(before, after, 0.45) == Approx(0.0015));
    CHECK(histogram::quantile(before, after, 0.99) == Approx(0.19));
    CHECK(histogram::quantile(after, h.now(), 0.5) == 0);
    h.observe(100);
    CHECK(histogram::quantile(after, h.now(), 0.5) == 10);
}
