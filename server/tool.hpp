// What the one-shot subcommands share: a loop, a small pool on a schema that fits, and a failure that is one sentence for the person at the shell.
#pragma once
#include <optional>
#include <string>

#include "base/config.hpp"
#include "base/pg.hpp"
#include "server/schema.hpp"

namespace ovation::server {

struct failed {
    std::string sentence;
};

// Runs one coroutine to its end on a loop of its own.
template <class T>
T run(asio::io_context& context, awaitable<result<T>> body) {
    std::optional<result<T>> out;
    std::exception_ptr bug;
    // In this order: another loop that was asked may give its last work back late, and the end of all work stops a loop.
    const auto work = asio::make_work_guard(context);
    context.restart();
    asio::co_spawn(context, std::move(body), [&](std::exception_ptr failure, result<T> value) {
        bug = failure;
        out = std::move(value);
        context.stop();
    });
    context.run();
    if (bug) std::rethrow_exception(bug);
    if (!*out) throw failed{out->error().in_full()};
    if constexpr (!std::is_void_v<T>) return std::move(**out);
}

enum class schema { must_fit, any };
struct tool {
    explicit tool(const config& c, schema which = schema::must_fit) : db(context, c.database, 2) {
        if (which == schema::must_fit) run(context, check_schema(db));
    }
    asio::io_context context{1};
    pg::pool db;
};

}  // namespace ovation::server
