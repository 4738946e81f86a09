// The frame codec: however the bytes are cut, the messages and the failure are the same; what comes out keeps RFC 6455; and
// what a client frames in any form and mask comes back.
#include "server/websocket.hpp"

#include "tests/fuzz/fuzz.hpp"

using namespace ovation;
using namespace ovation::server::websocket;

namespace {
struct outcome {
    failure why = failure::none;
    std::vector<message> messages;
};
outcome feed(std::string_view in, std::size_t max, std::size_t piece) {
    outcome o;
    decoder d(max);
    while (!in.empty() && o.why == failure::none) {
        o.why = d.feed(in.substr(0, piece), o.messages);
        in.remove_prefix(std::min(piece, in.size()));
    }
    PROPERTY(o.why == failure::none || d.feed("\x82", o.messages) == o.why);  // final
    return o;
}
bool same(const outcome& a, const outcome& b) {
    if (a.why != b.why || a.messages.size() != b.messages.size()) return false;
    for (std::size_t i = 0; i < a.messages.size(); ++i)
        if (a.messages[i].kind != b.messages[i].kind || a.messages[i].payload != b.messages[i].payload || a.messages[i].close_code != b.messages[i].close_code) return false;
    return true;
}
// Our own frame as a client sends it: the mask bit set, the mask behind the length.
std::string masked(std::string frame, std::string_view mask) {
    const auto form = static_cast<unsigned char>(frame[1]);
    const std::size_t head = form == 126 ? 4 : form == 127 ? 10 : 2;
    frame[1] = static_cast<char>(form | 0x80);
    for (std::size_t i = head; i < frame.size(); ++i) frame[i] = static_cast<char>(frame[i] ^ mask[(i - head) & 3]);
    return frame.insert(head, mask);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto in = fuzz::bytes(data, size);
    const auto choice = fuzz::take(in);
    const std::size_t max = choice & 1 ? 8192 : 64;
    const auto whole = feed(in, max, std::string_view::npos);
    PROPERTY(same(whole, feed(in, max, 1)));
    PROPERTY(same(whole, feed(in, max, choice / 2 + 1u)));
    for (const auto& m : whole.messages) {
        PROPERTY(m.kind != opcode::continuation);
        PROPERTY(m.payload.size() <= (m.kind >= opcode::close ? 125 : max));
        if (m.kind == opcode::text || m.kind == opcode::close) PROPERTY(text::characters(m.payload));
        if (m.kind == opcode::close) PROPERTY(m.close_code >= 1000 && m.close_code < 5000 && m.close_code != 1004 && m.close_code != 1006);
    }

    if (in.size() < 4) return 0;
    const auto mask = in.substr(0, 4);
    const auto payload = in.substr(4);
    const bool small = payload.size() <= 125;
    const auto ping = small ? masked(encode(opcode::ping, payload), mask) : std::string();
    const auto back = feed(ping + masked(encode(opcode::binary, payload), mask), 8192, choice / 2 + 1u);
    PROPERTY(back.why == failure::none && back.messages.size() == (small ? 2 : 1));
    for (const auto& m : back.messages) PROPERTY(m.payload == payload);
    const auto key = ovation::server::websocket::accept_for(payload);
    PROPERTY(key.size() == 28 && !valid_key(key));  // 20 bytes, not 16
    (void)valid_key(payload);
    return 0;
}
