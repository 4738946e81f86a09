#include "tests/support/catch.hpp"

#include "base/limits.hpp"
#include "rooms/outbox.hpp"

using namespace ovation;
using namespace ovation::rooms;

namespace {
shared_bytes bytes(const std::string& s) { return std::make_shared<const std::string>(s); }
std::vector<std::string> drain(outbox& o, std::int64_t now) {
    std::vector<std::string> out;
    while (auto* f = o.front(now)) {
        out.push_back(f->bytes->substr(f->offset));
        o.sent(f->bytes->size() - f->offset);
    }
    return out;
}
}  // namespace

TEST_CASE("outbox: the rest of a cut frame goes first, then gifts, state, sound, chat") {
    outbox o(2'500);
    o.push(event_class::chat, 0, bytes("chat"), 0);
    o.push(event_class::media, 0, bytes("media"), 0);
    o.push(event_class::state, 1, bytes("state"), 0);
    o.push(event_class::gift, 0, bytes("gift"), 0);
    o.push_rest(event_class::chat, bytes("abcdef"), 4, 0);
    CHECK(drain(o, 1) == std::vector<std::string>{"ef", "gift", "state", "media", "chat"});
    CHECK(o.empty());
}
TEST_CASE("outbox: sound older than the listener's buffer is dropped, the gap is counted") {
    outbox o(650);
    o.push(event_class::media, 0, bytes("old"), 0);
    o.push(event_class::media, 0, bytes("new"), 600);
    CHECK(drain(o, 651) == std::vector<std::string>{"new"});
    CHECK(o.dropped_media() == 1);
}
TEST_CASE("outbox: chat keeps 64 messages or 5 s and tells how many were skipped") {
    outbox o(650);
    for (int i = 0; i < 65; ++i) o.push(event_class::chat, 0, bytes(std::to_string(i)), 0);
    CHECK(o.take_skipped() == 1);
    CHECK(drain(o, limits::chat_behind_ms_max).size() == 64);
    o.push(event_class::chat, 0, bytes("late"), 0);
    CHECK(o.front(limits::chat_behind_ms_max + 1) == nullptr);
    CHECK(o.take_skipped() == 1);
}
TEST_CASE("outbox: of a state only the newest of its key waits, in the old one's place") {
    outbox o(650);
    o.push(event_class::state, 1, bytes("presence 1"), 0);
    o.push(event_class::state, 2, bytes("stage 1"), 0);
    o.push(event_class::state, 1, bytes("presence 2"), 0);
    CHECK(drain(o, 1) == std::vector<std::string>{"presence 2", "stage 1"});
}
TEST_CASE("outbox: gifts are never dropped; over 256 KiB or 10 s the listener must resume") {
    outbox o(650);
    o.push(event_class::gift, 0, bytes(std::string(limits::gift_class_behind_bytes_max, 'x')), 0);
    CHECK_FALSE(o.too_far_behind(limits::gift_class_behind_ms_max));
    CHECK(o.too_far_behind(limits::gift_class_behind_ms_max + 1));
    o.push(event_class::gift, 0, bytes("y"), 0);
    CHECK(o.too_far_behind(0));
    CHECK(drain(o, 60'000).size() == 2);
}
TEST_CASE("outbox: the age of a gift counts while it is on its way, of another frame it does not") {
    outbox o(650);
    o.push(event_class::gift, 0, bytes("gift"), 0);
    REQUIRE(o.front(0) != nullptr);
    CHECK_FALSE(o.too_far_behind(limits::gift_class_behind_ms_max));
    CHECK(o.too_far_behind(limits::gift_class_behind_ms_max + 1));
    o.sent(4);
    CHECK_FALSE(o.too_far_behind(limits::gift_class_behind_ms_max + 1));
    o.push_rest(event_class::gift, bytes("gift"), 2, 0);
    CHECK(o.too_far_behind(limits::gift_class_behind_ms_max + 1));
    o.push_rest(event_class::state, bytes("stage"), 2, 0);
    CHECK_FALSE(o.too_far_behind(limits::gift_class_behind_ms_max + 1));
}
