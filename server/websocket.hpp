// The WebSocket framing of RFC 6455, strictly, server side; no extension is ever negotiated (docs/decisions/0001).
// Bytes in, messages out; no sockets here.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.hpp"

namespace ovation::server::websocket {

enum class opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

struct message {
    opcode kind = opcode::binary;
    std::string payload;         // of close: the reason
    int close_code = 1005;       // of close; 1005: none was given
};

// Close codes that a codec itself may have to send.
enum class failure : int { none = 0, protocol = 1002, bad_utf8 = 1007, too_big = 1009 };

class decoder {
public:
    explicit decoder(std::size_t message_bytes_max) : max_(message_bytes_max) {}
    // Appends what is complete. After a failure nothing more is taken.
    failure feed(std::string_view bytes, std::vector<message>& out);

private:
    failure header();
    failure payload(std::vector<message>& out);
    failure finish_control(std::vector<message>& out);

    std::size_t max_;
    failure failed_ = failure::none;
    std::string head_;           // header bytes so far
    bool in_payload_ = false;
    bool fin_ = false;
    opcode kind_ = opcode::binary;
    std::uint64_t left_ = 0;
    std::uint8_t mask_[4]{};
    std::size_t mask_at_ = 0;
    std::string control_;
    bool in_message_ = false;    // a fragmented message is open
    message open_;
    text::utf8_validator utf8_;
    std::string_view input_;
};

// A whole unmasked frame, FIN set.
std::string encode(opcode kind, std::string_view payload);
std::string encode_close(int code, std::string_view reason);
// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string accept_for(std::string_view key);
// 16 bytes in base64, as RFC 6455 section 4.1 asks.
bool valid_key(std::string_view key);

}  // namespace ovation::server::websocket
