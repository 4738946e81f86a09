// libpq as coroutines: non-blocking, always in pipeline mode. Everything between two syncs is one implicit transaction,
// so `run` of several requests is atomic and costs one round trip. A connection belongs to one io_context; a query that
// missed its deadline or was cut off drops the connection, and the outcome is *unknown*.
#pragma once
#include <libpq-fe.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/asio.hpp"
#include "base/fault.hpp"
#include "base/ids.hpp"

namespace ovation::pg {

// From a file of <folder>/sql/; the generated header names them.
struct statement {
    const char* name;
    const char* sql;
};

// Parameters in text form, in order $1, $2, …
class params {
public:
    params& add(std::string_view text) { values_.emplace_back(text); return *this; }
    params& add(const char* text) { return add(std::string_view(text)); }
    params& add(const std::string& text) { return add(std::string_view(text)); }
    params& add(std::int64_t v) { values_.emplace_back(std::to_string(v)); return *this; }
    params& add(int v) { return add(static_cast<std::int64_t>(v)); }
    params& add(bool v) { return add(std::string_view(v ? "t" : "f")); }
    template <class Tag>
    params& add(id<Tag> v) { return add(v.value); }
    template <class Tag>
    params& add_or_null(id<Tag> v) { return v ? add(v.value) : add_null(); }
    params& add_null() { values_.emplace_back(std::nullopt); return *this; }
    params& add_bytes(std::string_view bytes);  // bytea
    params& add_text_array(std::span<const std::string> items);
    // "{1,2,3}" made by the caller.
    params& add_raw(std::string text) { values_.emplace_back(std::move(text)); return *this; }
    params& append(params more) {
        for (auto& v : more.values_) values_.push_back(std::move(v));
        return *this;
    }
    [[nodiscard]] const std::vector<std::optional<std::string>>& values() const { return values_; }

private:
    std::vector<std::optional<std::string>> values_;
};
template <class... Values>
params with(const Values&... values) {
    params p;
    (p.add(values), ...);
    return p;
}

class rows {
public:
    rows() = default;
    explicit rows(PGresult* raw) : raw_(raw, &PQclear) {}
    [[nodiscard]] int size() const { return raw_ ? PQntuples(raw_.get()) : 0; }
    [[nodiscard]] bool empty() const { return size() == 0; }
    [[nodiscard]] bool null(int row, int column) const { return PQgetisnull(raw_.get(), row, column) != 0; }
    [[nodiscard]] std::string_view text(int row, int column) const {
        return {PQgetvalue(raw_.get(), row, column), static_cast<std::size_t>(PQgetlength(raw_.get(), row, column))};
    }
    [[nodiscard]] std::string string(int row, int column) const { return std::string(text(row, column)); }
    [[nodiscard]] std::int64_t number(int row, int column) const;  // 0 for NULL
    [[nodiscard]] bool boolean(int row, int column) const { return text(row, column) == "t"; }
    [[nodiscard]] std::int64_t affected() const;

private:
    std::unique_ptr<PGresult, void (*)(PGresult*)> raw_{nullptr, &PQclear};
};

// A bytea of text form (\x…), as bytes.
std::string bytes_of(std::string_view hex);

struct request {
    const statement* what;
    params values;
};
// The statement with its parameters written into it, for texts of several statements.
std::string inlined(const request& r);

class connection {
public:
    explicit connection(asio::io_context& context);
    ~connection();
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    awaitable<result<void>> open(std::string conninfo, std::chrono::milliseconds limit);
    // One implicit transaction, one round trip. On a refusal of PostgreSQL nothing of it stays.
    awaitable<result<std::vector<rows>>> run(std::vector<request> requests, std::chrono::milliseconds limit);
    awaitable<result<rows>> query(const statement& what, params values, std::chrono::milliseconds limit);
    // Statements as one text, one implicit transaction, with one `copy … from stdin` among them, which gets `data`.
    awaitable<result<void>> copy_in(std::string sql, std::string_view data, std::chrono::milliseconds limit);
    // One `copy … to stdout`: each message as it comes (of a binary one: a row, the first behind the head, then the end).
    awaitable<result<void>> copy_out(std::string sql, std::chrono::milliseconds limit, std::function<void(std::string_view)> each);
    // The same in pieces: what stands before the copy is run first; then some messages each time, until it is false. In between
    // the connection can do nothing else.
    awaitable<result<void>> copy_begin(std::string sql, std::chrono::milliseconds limit);
    awaitable<result<bool>> copy_some(std::size_t messages, std::chrono::milliseconds limit, std::function<void(std::string_view)> each);
    // Another one to the same place.
    awaitable<result<void>> open_like(const connection& other, std::chrono::milliseconds limit) { return open(other.conninfo_, limit); }
    [[nodiscard]] bool usable() const { return raw_ != nullptr && !broken_; }
    // Whether it can still be used after having been idle.
    [[nodiscard]] bool alive();
    // Usable, and within no transaction.
    [[nodiscard]] bool at_rest() const { return usable() && PQtransactionStatus(raw_) == PQTRANS_IDLE; }
    [[nodiscard]] int backend_pid() const { return raw_ ? PQbackendPID(raw_) : 0; }
    void close();

private:
    awaitable<bool> wait(asio::posix::stream_descriptor::wait_type what);
    awaitable<result<PGresult*>> next_result();
    awaitable<result<void>> flush();
    awaitable<result<void>> simple_query(const std::string& sql);
    awaitable<result<bool>> simple_results(std::string_view in);
    fault lost();
    void arm(std::chrono::milliseconds limit);

    asio::posix::stream_descriptor socket_;
    asio::steady_timer timer_;
    PGconn* raw_ = nullptr;
    std::string conninfo_;
    bool broken_ = false;
    bool timed_out_ = false;
    std::uint64_t armed_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::unordered_set<std::string> prepared_;  // names
};

// A few connections of one io_context, handed out in order of asking.
class pool {
public:
    pool(asio::io_context& context, std::string conninfo, std::size_t size);
    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;

    class lease {
    public:
        lease(pool& owner, std::unique_ptr<connection> c) : owner_(&owner), connection_(std::move(c)) {}
        lease(lease&& other) noexcept : owner_(other.owner_), connection_(std::move(other.connection_)) {}
        lease& operator=(lease&&) = delete;
        ~lease();
        connection* operator->() { return connection_.get(); }
        connection& operator*() { return *connection_; }
        // A transaction of several round trips, begun so or by a statement of one's own. What is not committed when the lease ends
        // is rolled back.
        awaitable<result<void>> begin();
        awaitable<result<void>> commit();

    private:
        pool* owner_;
        std::unique_ptr<connection> connection_;
    };

    awaitable<result<lease>> acquire(std::chrono::milliseconds limit = std::chrono::seconds(5));
    awaitable<result<rows>> query(const statement& what, params values, std::chrono::milliseconds limit = std::chrono::seconds(10));
    awaitable<result<std::vector<rows>>> run(std::vector<request> requests, std::chrono::milliseconds limit = std::chrono::seconds(10));
    asio::io_context& context() { return context_; }
    void close() { idle_.clear(); }

private:
    void give_back(std::unique_ptr<connection> c);
    asio::io_context& context_;
    std::string conninfo_;
    std::size_t size_;
    std::size_t out_ = 0;
    std::vector<std::unique_ptr<connection>> idle_;
    std::deque<std::shared_ptr<asio::steady_timer>> waiting_;
};

// Where a command may be answered "unknown": the connection went before the answer came.
bool is_unknown(const fault& f);
// SQLSTATE of a refusal by PostgreSQL ("23505"), else empty.
std::string_view sqlstate(const fault& f);

}  // namespace ovation::pg
