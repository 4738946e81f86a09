// What the fuzz targets share: a property that ends the program when it does not hold, and small choices from the input.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#define PROPERTY(condition)                                                                      \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            std::fprintf(stderr, "%s:%d: property: %s\n", __FILE__, __LINE__, #condition);       \
            std::abort();                                                                        \
        }                                                                                        \
    } while (false)

namespace ovation::fuzz {

inline std::string_view bytes(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }
// The first byte decides something, the rest is the matter; 0 when there is none.
inline std::uint8_t take(std::string_view& from) {
    if (from.empty()) return 0;
    const auto out = static_cast<std::uint8_t>(from.front());
    from.remove_prefix(1);
    return out;
}
// Up to `end`, which is dropped; all when it is not there.
inline std::string_view take_until(std::string_view& from, char end) {
    const auto cut = from.find(end);
    const auto out = from.substr(0, cut);
    from.remove_prefix(cut == std::string_view::npos ? from.size() : cut + 1);
    return out;
}

}  // namespace ovation::fuzz
