// A database of its own for a test case, from the run's private PostgreSQL; and a coroutine run to its end with a deadline.
#pragma once
#include <libpq-fe.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "base/cores.hpp"
#include "server/schema.hpp"

namespace ovation::test {

// Returns the first field of the first row, if any.
inline std::string execute(const std::string& conninfo, const std::string& sql) {
    std::unique_ptr<PGconn, void (*)(PGconn*)> c(PQconnectdb(conninfo.c_str()), &PQfinish);
    std::unique_ptr<PGresult, void (*)(PGresult*)> r(PQexec(c.get(), sql.c_str()), &PQclear);
    const auto state = PQresultStatus(r.get());
    if (state != PGRES_COMMAND_OK && state != PGRES_TUPLES_OK) throw std::runtime_error(sql + ": " + PQerrorMessage(c.get()));
    return PQntuples(r.get()) > 0 ? PQgetvalue(r.get(), 0, 0) : "";
}

// A lost wake-up fails instead of hanging.
template <class T>
T run_coro(awaitable<T> body, std::chrono::seconds limit = std::chrono::seconds(60)) {
    asio::io_context context(1);
    std::optional<T> out;
    std::exception_ptr bug;
    asio::co_spawn(context, std::move(body), [&](std::exception_ptr failure, T value) {
        bug = failure;
        out = std::move(value);
        context.stop();
    });
    context.run_for(limit);
    if (bug) std::rethrow_exception(bug);
    if (!out) throw std::runtime_error("the coroutine did not end in time");
    return std::move(*out);
}

class database {
public:
    database() {
        const char* folder = std::getenv("DEV_TEST_PG");
        if (!folder) throw std::runtime_error("DEV_TEST_PG names no PostgreSQL: run ./dev test");
        static int count = 0;
        name_ = "test_" + std::to_string(getpid()) + "_" + std::to_string(++count);
        base_ = std::string("host=") + folder + " user=owner dbname=";
        execute(base_ + "postgres", "create database " + name_ + " strategy file_copy");
        asio::io_context context(1);
        auto migrated = run_migration();
        if (!migrated) throw std::runtime_error(migrated.error().message);
        app_ = std::string("host=") + folder + " user=ovation_app dbname=" + name_;
    }
    ~database() {
        try {
            execute(base_ + "postgres", "drop database " + name_ + " with (force)");
        } catch (const std::exception&) {
            // the run's cluster goes anyway
        }
    }
    database(const database&) = delete;
    database& operator=(const database&) = delete;
    [[nodiscard]] const std::string& app() const { return app_; }
    [[nodiscard]] std::string owner() const { return base_ + name_; }
    void as_owner(const std::string& sql) const { execute(owner(), sql); }
    void as_app(const std::string& sql) const { execute(app_, sql); }
    // The first column of the first row, as the owner sees it.
    [[nodiscard]] std::int64_t number(const std::string& sql) const { return std::stoll(execute(owner(), sql)); }

private:
    result<int> run_migration() {
        asio::io_context context(1);
        std::optional<result<int>> out;
        asio::co_spawn(context, server::migrate(context, owner()), [&](std::exception_ptr, result<int> r) {
            out = std::move(r);
            context.stop();
        });
        context.run();
        return *out;
    }
    std::string name_, base_, app_;
};

}  // namespace ovation::test
