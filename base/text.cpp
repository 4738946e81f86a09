#include "base/text.hpp"

#include <algorithm>

namespace ovation::text {

bool utf8_validator::feed(std::string_view bytes) {
    for (const char signed_c : bytes) {
        const auto c = static_cast<unsigned char>(signed_c);
        if (needed_ > 0) {
            if (c < low_ || c > high_) return false;
            low_ = 0x80;
            high_ = 0xbf;
            --needed_;
            continue;
        }
        if (c < 0x80) continue;
        if (c >= 0xc2 && c <= 0xdf) needed_ = 1;
        else if (c >= 0xe0 && c <= 0xef) {
            needed_ = 2;
            if (c == 0xe0) low_ = 0xa0;
            if (c == 0xed) high_ = 0x9f;
        } else if (c >= 0xf0 && c <= 0xf4) {
            needed_ = 3;
            if (c == 0xf0) low_ = 0x90;
            if (c == 0xf4) high_ = 0x8f;
        } else return false;
    }
    return true;
}

std::optional<std::size_t> characters(std::string_view text) {
    utf8_validator v;
    if (!v.feed(text) || !v.complete()) return std::nullopt;
    std::size_t n = 0;
    for (const char c : text) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    return n;
}

bool has_control(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c < 0x20 || c == 0x7f) return true;
        // U+061C, U+200E, U+200F, U+202A…U+202E, U+2066…U+2069
        if (c == 0xd8 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) == 0x9c) return true;
        if (c == 0xe2 && i + 2 < text.size()) {
            const auto d = static_cast<unsigned char>(text[i + 1]);
            const auto e = static_cast<unsigned char>(text[i + 2]);
            if (d == 0x80 && (e == 0x8e || e == 0x8f || (e >= 0xaa && e <= 0xae))) return true;
            if (d == 0x81 && e >= 0xa6 && e <= 0xa9) return true;
        }
    }
    return false;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string upper(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    return out;
}

}  // namespace ovation::text
