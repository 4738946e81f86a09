#include "base/fault.hpp"

#include <array>
#include <stdexcept>

namespace ovation {
namespace {
struct row {
    std::string_view name;
    int status;
};
constexpr std::array<row, 16> codes{{
    {"canceled", 499}, {"unknown", 500}, {"invalid_argument", 400}, {"deadline_exceeded", 504}, {"not_found", 404},
    {"already_exists", 409}, {"permission_denied", 403}, {"resource_exhausted", 429}, {"failed_precondition", 400},
    {"aborted", 409}, {"out_of_range", 400}, {"unimplemented", 501}, {"internal", 500}, {"unavailable", 503},
    {"data_loss", 500}, {"unauthenticated", 401},
}};
fault make(code kind, std::string_view reason, std::string_view message) {
    fault f;
    f.kind = kind;
    f.reason = reason;
    f.message = message;
    return f;
}
}  // namespace

std::string_view code_name(code c) { return codes[static_cast<std::size_t>(c)].name; }
int http_status(code c) { return codes[static_cast<std::size_t>(c)].status; }

void throw_exception_from_error(const fault& f, const boost::source_location&) {
    throw std::logic_error("value() of a failed result: " + f.reason + ": " + f.message);
}

fault invalid(std::string_view field, std::string_view message) {
    auto f = make(code::invalid_argument, "invalid_argument", message);
    f.field = field;
    if (!field.empty()) f.message = std::string(field) + ": " + f.message;
    return f;
}
fault not_found(std::string_view what) { return make(code::not_found, "not_found", std::string(what) + " does not exist."); }
fault denied(std::string_view reason, std::string_view message) { return make(code::permission_denied, reason, message); }
fault precondition(std::string_view reason, std::string_view message) { return make(code::failed_precondition, reason, message); }
fault exhausted(std::string_view reason, std::string_view message, std::int64_t retry_after_ms) {
    auto f = make(code::resource_exhausted, reason, message);
    f.retryable = true;
    f.retry_after_ms = retry_after_ms;
    return f;
}
fault unavailable(std::string_view reason, std::string_view message) {
    auto f = make(code::unavailable, reason, message);
    f.retryable = true;
    f.retry_after_ms = 1000;
    return f;
}
fault internal_fault(std::string_view message) { return make(code::internal, "internal", message); }

}  // namespace ovation
