// UTF-8 against a decoder written from the table of RFC 3629, one code point at a time; cuts between fragments change nothing.
#include "base/text.hpp"

#include <optional>
#include <vector>

#include "tests/fuzz/fuzz.hpp"

using namespace ovation;

namespace {
// By value, not by byte ranges: decode, then refuse what is overlong, a surrogate or too large.
std::optional<std::vector<char32_t>> decode(std::string_view in) {
    std::vector<char32_t> out;
    for (std::size_t i = 0; i < in.size();) {
        const auto first = static_cast<unsigned char>(in[i]);
        const std::size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
        if (length == 0 || i + length > in.size()) return std::nullopt;
        char32_t c = length == 1 ? first : first & (0xffu >> (length + 1));
        for (std::size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(in[i + k]);
            if (next >> 6 != 2) return std::nullopt;
            c = c << 6 | (next & 0x3f);
        }
        constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return std::nullopt;
        out.push_back(c);
        i += length;
    }
    return out;
}
// Some continuation of at most three bytes makes it valid.
bool can_go_on(text::utf8_validator v, int deep) {
    if (v.complete()) return true;
    for (const char* c : {"\x80", "\x8f", "\x90", "\x9f", "\xa0", "\xbf"}) {
        auto next = v;
        if (deep > 0 && next.feed(c) && can_go_on(next, deep - 1)) return true;
    }
    return false;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto in = fuzz::bytes(data, size);
    const auto points = decode(in);
    const auto counted = text::characters(in);
    PROPERTY(counted.has_value() == points.has_value());
    if (points) {
        PROPERTY(*counted == points->size());
        bool control = false;
        for (const auto c : *points)
            control |= c < 0x20 || c == 0x7f || c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
        PROPERTY(text::has_control(in) == control);
    }
    text::utf8_validator slow;
    bool good = true;
    for (const char& c : in)
        if (good) good = slow.feed({&c, 1});
    PROPERTY((good && slow.complete()) == points.has_value());
    PROPERTY(!good || can_go_on(slow, 3));
    const auto trimmed = text::trim(in);
    PROPERTY(text::trim(trimmed) == trimmed);
    return 0;
}
