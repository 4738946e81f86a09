#include "tests/support/catch.hpp"
#include <random>

#include "server/websocket.hpp"

namespace ovation::server::websocket {

namespace {
std::string masked(int first, std::string_view payload, std::size_t declared_form = 0) {
    std::string out(1, static_cast<char>(first));
    if (payload.size() < 126 && declared_form == 0) out += static_cast<char>(0x80 | payload.size());
    else if (payload.size() < 65'536 && declared_form != 8) {
        out += static_cast<char>(0x80 | 126);
        for (int i = 1; i >= 0; --i) out += static_cast<char>(payload.size() >> (8 * i) & 0xff);
    } else {
        out += static_cast<char>(0x80 | 127);
        for (int i = 7; i >= 0; --i) out += static_cast<char>(payload.size() >> (8 * i) & 0xff);
    }
    const std::string mask = "\x12\x34\x56\x78";
    out += mask;
    for (std::size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ mask[i & 3]);
    return out;
}
struct outcome {
    failure why;
    std::vector<message> messages;
};
outcome feed(const std::string& bytes, std::size_t max = 8192) {
    decoder d(max);
    outcome o{failure::none, {}};
    o.why = d.feed(bytes, o.messages);
    // Cut at every byte the result is the same.
    decoder slow(max);
    std::vector<message> again;
    failure why = failure::none;
    for (const char c : bytes)
        if (why == failure::none) why = slow.feed({&c, 1}, again);
    REQUIRE(why == o.why);
    REQUIRE(again.size() == o.messages.size());
    for (std::size_t i = 0; i < again.size(); ++i) {
        REQUIRE(again[i].kind == o.messages[i].kind);
        REQUIRE(again[i].payload == o.messages[i].payload);
    }
    return o;
}
}  // namespace

TEST_CASE("websocket: whole messages of every length form") {
    for (const std::size_t size : {0u, 1u, 125u, 126u, 127u, 8192u}) {
        const std::string payload(size, 'x');
        const auto o = feed(masked(0x82, payload));
        REQUIRE(o.why == failure::none);
        REQUIRE(o.messages.size() == 1);
        CHECK(o.messages[0].payload == payload);
    }
}
TEST_CASE("websocket: the message limit holds at its edge, across fragments too") {
    CHECK(feed(masked(0x82, std::string(8193, 'x'))).why == failure::too_big);
    CHECK(feed(masked(0x02, std::string(8000, 'x')) + masked(0x80, std::string(192, 'x'))).why == failure::none);
    CHECK(feed(masked(0x02, std::string(8000, 'x')) + masked(0x80, std::string(193, 'x'))).why == failure::too_big);
}
TEST_CASE("websocket: lengths must be in their shortest form") {
    CHECK(feed(masked(0x82, "abc", 2)).why == failure::protocol);
    CHECK(feed(masked(0x82, std::string(200, 'x'), 8)).why == failure::protocol);
}
TEST_CASE("websocket: reserved bits, reserved opcodes and unmasked frames are refused") {
    for (const int first : {0xc2, 0xa2, 0x92, 0x83, 0x87, 0x8b, 0x8f}) CHECK(feed(masked(first, "x")).why == failure::protocol);
    CHECK(feed(encode(opcode::binary, "x")).why == failure::protocol);
}
TEST_CASE("websocket: fragments join, control frames may stand between them") {
    const auto o = feed(masked(0x01, "He") + masked(0x89, "ping") + masked(0x00, "ll") + masked(0x80, "o"));
    REQUIRE(o.messages.size() == 2);
    CHECK(o.messages[0].kind == opcode::ping);
    CHECK(o.messages[1].payload == "Hello");
}
TEST_CASE("websocket: broken fragmentation is refused") {
    CHECK(feed(masked(0x80, "x")).why == failure::protocol);
    CHECK(feed(masked(0x01, "x") + masked(0x81, "y")).why == failure::protocol);
    CHECK(feed(masked(0x09, "x")).why == failure::protocol);
    CHECK(feed(masked(0x89, std::string(126, 'x'))).why == failure::protocol);
}
TEST_CASE("websocket: text is UTF-8, checked as it comes") {
    CHECK(feed(masked(0x81, "\xe8\x8c\x89")).why == failure::none);
    CHECK(feed(masked(0x01, "\xe8\x8c") + masked(0x80, "\x89")).why == failure::none);
    for (const char* bad : {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "\xe8\x8c", "\x80"}) CHECK(feed(masked(0x81, bad)).why == failure::bad_utf8);
}
TEST_CASE("websocket: close codes and reasons") {
    CHECK(feed(masked(0x88, "")).messages.at(0).close_code == 1005);
    for (const int good : {1000, 1001, 1003, 1007, 1014, 3000, 4999}) CHECK(feed(masked(0x88, std::string{static_cast<char>(good >> 8), static_cast<char>(good & 0xff)})).why == failure::none);
    for (const int bad : {0, 999, 1004, 1005, 1006, 1015, 2999, 5000}) CHECK(feed(masked(0x88, std::string{static_cast<char>(bad >> 8), static_cast<char>(bad & 0xff)})).why == failure::protocol);
    CHECK(feed(masked(0x88, "x")).why == failure::protocol);
    CHECK(feed(masked(0x88, "\x03\xe8\xff")).why == failure::bad_utf8);
}
TEST_CASE("websocket: the accept value of RFC 6455 section 1.3") {
    CHECK(accept_for("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(valid_key("dGhlIHNhbXBsZSBub25jZQ=="));
    CHECK_FALSE(valid_key("c2hvcnQ="));
}
TEST_CASE("websocket: random bytes never do harm") {
    std::mt19937 dice(20'261'121);
    for (int round = 0; round < 20'000; ++round) {
        decoder d(1024);
        std::string bytes(dice() % 64, '\0');
        for (auto& c : bytes) c = static_cast<char>(dice());
        std::vector<message> out;
        d.feed(bytes, out);
        for (const auto& m : out) REQUIRE(m.payload.size() <= 1024);
    }
}
}  // namespace ovation::server::websocket
