// UTF-8, strictly (RFC 3629): counted and checked wherever people's text comes in.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ovation::text {

// Incremental, for fragments that cut a character in two.
class utf8_validator {
public:
    // false: no continuation can make it valid.
    bool feed(std::string_view bytes);
    // Nothing is left open.
    [[nodiscard]] bool complete() const { return needed_ == 0; }

private:
    int needed_ = 0;
    unsigned char low_ = 0x80, high_ = 0xbf;
};

// Number of characters (code points); nullopt when not valid UTF-8.
std::optional<std::size_t> characters(std::string_view text);
// ASCII control characters, or the invisible direction marks that disguise names.
bool has_control(std::string_view text);
std::string_view trim(std::string_view text);
// ASCII letters; the others stay.
std::string upper(std::string_view text);

}  // namespace ovation::text
