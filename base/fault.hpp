// What may go wrong, as a value: a Connect code, a stable reason, a sentence for people.
// Exceptions are for bugs; everything that can be expected travels as `result<T>`.
#pragma once
#include <boost/system/result.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace ovation {

// The codes of the Connect protocol (connectrpc.com/docs/protocol, "Error codes").
enum class code : std::uint8_t {
    canceled, unknown, invalid_argument, deadline_exceeded, not_found, already_exists, permission_denied, resource_exhausted,
    failed_precondition, aborted, out_of_range, unimplemented, internal, unavailable, data_loss, unauthenticated,
};
std::string_view code_name(code c);
int http_status(code c);

struct fault {
    code kind = code::internal;
    std::string reason;   // stable, snake_case
    std::string message;  // says what happened and what to do
    std::string field;    // the request field that is wrong
    bool retryable = false;
    std::int64_t retry_after_ms = 0;
    std::string inside;   // more for operators: never told to callers
    [[nodiscard]] std::string in_full() const { return inside.empty() ? message : message + ' ' + inside; }
    // What callers may read.
    [[nodiscard]] std::string told() const { return kind == code::internal ? "Something went wrong here. It has been written down; try again later." : message; }
};

template <class T>
using result = boost::system::result<T, fault>;

[[noreturn]] void throw_exception_from_error(const fault& f, const boost::source_location& where);

fault invalid(std::string_view field, std::string_view message);
fault not_found(std::string_view what);
fault denied(std::string_view reason, std::string_view message);
fault precondition(std::string_view reason, std::string_view message);
fault exhausted(std::string_view reason, std::string_view message, std::int64_t retry_after_ms);
fault unavailable(std::string_view reason, std::string_view message);
fault internal_fault(std::string_view message);

// Leaves the coroutine or function with the fault of a failed result; else yields nothing (see OVATION_TRY).
#define OVATION_CONCAT2(a, b) a##b
#define OVATION_CONCAT(a, b) OVATION_CONCAT2(a, b)
#define OVATION_CO_TRY(declaration, expression)                         \
    auto OVATION_CONCAT(try_, __LINE__) = (expression);                 \
    if (!OVATION_CONCAT(try_, __LINE__)) co_return OVATION_CONCAT(try_, __LINE__).error(); \
    declaration = std::move(*OVATION_CONCAT(try_, __LINE__))
#define OVATION_CO_CHECK(expression)                                    \
    if (auto OVATION_CONCAT(try_, __LINE__) = (expression); !OVATION_CONCAT(try_, __LINE__)) \
    co_return OVATION_CONCAT(try_, __LINE__).error()
#define OVATION_CHECK_VALUE(name, expression)                           \
    auto OVATION_CONCAT(try_, __LINE__) = (expression);                 \
    if (!OVATION_CONCAT(try_, __LINE__)) return OVATION_CONCAT(try_, __LINE__).error(); \
    auto name = std::move(*OVATION_CONCAT(try_, __LINE__))
#define OVATION_CHECK(expression)                                       \
    if (auto OVATION_CONCAT(try_, __LINE__) = (expression); !OVATION_CONCAT(try_, __LINE__)) \
    return OVATION_CONCAT(try_, __LINE__).error()

}  // namespace ovation
