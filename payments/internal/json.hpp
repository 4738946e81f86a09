// Reading what providers send: a field by its path, or nothing.
#pragma once
#include <boost/json.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace ovation::payments {

inline boost::json::value parse_or_null(std::string_view text) {
    boost::system::error_code bad;
    auto out = boost::json::parse(boost::json::string_view(text.data(), text.size()), bad);
    return bad ? boost::json::value() : out;
}
inline const boost::json::value* at_path(const boost::json::value& root, std::initializer_list<std::string_view> path) {
    const auto* v = &root;
    for (const auto name : path) {
        const auto* o = v->if_object();
        v = o ? o->if_contains(name) : nullptr;
        if (!v) return nullptr;
    }
    return v;
}
inline std::string text_at(const boost::json::value& root, std::initializer_list<std::string_view> path) {
    const auto* v = at_path(root, path);
    return v && v->is_string() ? std::string(v->get_string()) : std::string();
}
inline std::optional<std::int64_t> number_at(const boost::json::value& root, std::initializer_list<std::string_view> path) {
    const auto* v = at_path(root, path);
    return v && v->is_int64() ? std::optional(v->get_int64()) : std::nullopt;
}
}  // namespace ovation::payments
