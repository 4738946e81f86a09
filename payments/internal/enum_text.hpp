// "risk_review" of PAYOUT_STATE_RISK_REVIEW, and back: the states of SQL are the names of the .proto.
#pragma once
#include <google/protobuf/generated_enum_reflection.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace ovation::payments {

// Empty: no value of the .proto.
template <class Enum>
std::string enum_text(Enum value, std::string_view prefix) {
    const auto* known = google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value);
    auto out = known ? known->name().substr(prefix.size()) : std::string();
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}
// The first value, 0, where there is no such name.
template <class Enum>
Enum enum_of(std::string_view text, std::string_view prefix) {
    std::string name(prefix);
    for (const char c : text) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const auto* known = google::protobuf::GetEnumDescriptor<Enum>()->FindValueByName(name);
    return known ? static_cast<Enum>(known->number()) : Enum{};
}

}  // namespace ovation::payments
