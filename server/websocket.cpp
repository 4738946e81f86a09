#include "server/websocket.hpp"

#include <algorithm>

#include "base/crypto.hpp"

namespace ovation::server::websocket {
namespace {
constexpr std::size_t control_bytes_max = 125;

bool is_control(opcode k) { return static_cast<int>(k) >= 8; }
bool known(int code) { return (code >= 0 && code <= 2) || (code >= 8 && code <= 10); }
// RFC 6455 section 7.4: what a peer may send.
bool close_code_allowed(int code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}
}  // namespace

failure decoder::feed(std::string_view bytes, std::vector<message>& out) {
    input_ = bytes;
    while (failed_ == failure::none && (!input_.empty() || (in_payload_ && left_ == 0))) failed_ = in_payload_ ? payload(out) : header();
    return failed_;
}

failure decoder::header() {
    // 2 bytes, then 0, 2 or 8 of length, then 4 of mask.
    const auto need = [&]() -> std::size_t {
        if (head_.size() < 2) return 2;
        const auto length = static_cast<unsigned char>(head_[1]) & 0x7f;
        return 6u + (length == 126 ? 2u : length == 127 ? 8u : 0u);
    };
    while (head_.size() < need() && !input_.empty()) {
        const auto take = std::min(need() - head_.size(), input_.size());
        head_.append(input_.substr(0, take));
        input_.remove_prefix(take);
        if (head_.size() != 2) continue;
        // What is wrong in the first two bytes is said at once.
        const auto first = static_cast<unsigned char>(head_[0]);
        const auto second = static_cast<unsigned char>(head_[1]);
        if ((first & 0x70) != 0 || !known(first & 0x0f) || (second & 0x80) == 0) return failure::protocol;
        kind_ = static_cast<opcode>(first & 0x0f);
        fin_ = (first & 0x80) != 0;
        if (is_control(kind_) && (!fin_ || (second & 0x7f) > control_bytes_max)) return failure::protocol;
        if (kind_ == opcode::continuation && !in_message_) return failure::protocol;
        if (!is_control(kind_) && kind_ != opcode::continuation && in_message_) return failure::protocol;
    }
    if (head_.size() < need()) return failure::none;

    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(head_[i]); };
    const auto length = byte(1) & 0x7f;
    std::size_t at = 2;
    if (length < 126) left_ = static_cast<std::uint64_t>(length);
    else {
        left_ = 0;
        const std::size_t size = length == 126 ? 2 : 8;
        for (std::size_t i = 0; i < size; ++i) left_ = left_ << 8 | byte(at++);
        // The shortest form, and no sign bit.
        if ((size == 2 && left_ < 126) || (size == 8 && (left_ < 65'536 || left_ >> 63 != 0))) return failure::protocol;
    }
    for (auto& m : mask_) m = byte(at++);
    mask_at_ = 0;
    head_.clear();
    in_payload_ = true;
    if (is_control(kind_)) {
        control_.clear();
        return failure::none;
    }
    if (!in_message_) {
        in_message_ = true;
        open_ = {};
        open_.kind = kind_;
        utf8_ = {};
    }
    if (left_ > max_ - open_.payload.size()) return failure::too_big;
    return failure::none;
}

failure decoder::payload(std::vector<message>& out) {
    const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input_.size()));
    auto& to = is_control(kind_) ? control_ : open_.payload;
    const auto start = to.size();
    to.append(input_.substr(0, take));
    for (auto i = start; i < to.size(); ++i) to[i] = static_cast<char>(static_cast<std::uint8_t>(to[i]) ^ mask_[mask_at_++ & 3]);
    input_.remove_prefix(take);
    left_ -= take;
    if (!is_control(kind_) && open_.kind == opcode::text && !utf8_.feed(std::string_view(to).substr(start))) return failure::bad_utf8;
    if (left_ > 0) return failure::none;
    in_payload_ = false;
    if (is_control(kind_)) return finish_control(out);
    if (!fin_) return failure::none;
    if (open_.kind == opcode::text && !utf8_.complete()) return failure::bad_utf8;
    in_message_ = false;
    out.push_back(std::move(open_));
    open_ = {};
    return failure::none;
}

failure decoder::finish_control(std::vector<message>& out) {
    message m;
    m.kind = kind_;
    if (kind_ == opcode::close && !control_.empty()) {
        if (control_.size() < 2) return failure::protocol;
        m.close_code = static_cast<std::uint8_t>(control_[0]) << 8 | static_cast<std::uint8_t>(control_[1]);
        if (!close_code_allowed(m.close_code)) return failure::protocol;
        if (!text::characters(std::string_view(control_).substr(2))) return failure::bad_utf8;
        m.payload = control_.substr(2);
    } else if (kind_ != opcode::close) {
        m.payload = control_;
    }
    out.push_back(std::move(m));
    return failure::none;
}

std::string encode(opcode kind, std::string_view payload) {
    std::string out;
    out.reserve(payload.size() + 10);
    out += static_cast<char>(0x80 | static_cast<int>(kind));
    if (payload.size() < 126) out += static_cast<char>(payload.size());
    else {
        const int size = payload.size() < 65'536 ? 2 : 8;
        out += static_cast<char>(size == 2 ? 126 : 127);
        for (int i = size - 1; i >= 0; --i) out += static_cast<char>(payload.size() >> (8 * i) & 0xff);
    }
    out += payload;
    return out;
}
std::string encode_close(int code, std::string_view reason) {
    std::string body{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
    body += reason.substr(0, control_bytes_max - 2);
    return encode(opcode::close, body);
}
std::string accept_for(std::string_view key) { return crypto::base64(crypto::sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")); }
bool valid_key(std::string_view key) {
    const auto bytes = crypto::from_base64(key);
    return bytes && bytes->size() == 16;
}

}  // namespace ovation::server::websocket
