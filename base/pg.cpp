#include "base/pg.hpp"

#include <poll.h>

#include <array>
#include <charconv>
#include <limits>

#include "base/log.hpp"

namespace ovation::pg {
namespace {
constexpr std::string_view lost_reason = "database_lost";
const statement begin_statement{"tx_begin", "begin"};
const statement commit_statement{"tx_commit", "commit"};

fault refused(const PGresult* raw) {
    fault f = internal_fault(PQresultErrorMessage(raw));
    const char* state = PQresultErrorField(raw, PG_DIAG_SQLSTATE);
    f.field = std::string("sqlstate:") + (state ? state : "");
    return f;
}
}  // namespace

bool is_unknown(const fault& f) { return f.reason == lost_reason; }
std::string_view sqlstate(const fault& f) {
    std::string_view field = f.field;
    return field.starts_with("sqlstate:") ? field.substr(9) : std::string_view{};
}

params& params::add_bytes(std::string_view bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string out = "\\x";
    out.reserve(2 + bytes.size() * 2);
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return add_raw(std::move(out));
}
params& params::add_text_array(std::span<const std::string> items) {
    std::string out = "{";
    for (const auto& item : items) {
        if (out.size() > 1) out += ',';
        out += '"';
        for (char c : item) {
            if (c == '"' || c == '\\') out += '\\';
            out += c;
        }
        out += '"';
    }
    return add_raw(out + "}");
}

std::string inlined(const request& r) {
    std::string out;
    const std::string_view sql = r.what->sql;
    for (std::size_t i = 0; i < sql.size(); ++i) {
        std::size_t number = 0;
        const auto [end, bad] = std::from_chars(sql.data() + i + 1, sql.data() + sql.size(), number);
        if (sql[i] != '$' || bad != std::errc{}) {
            out += sql[i];
            continue;
        }
        const auto& value = r.values.values().at(number - 1);
        out += value ? "'" : "null";
        if (value) {
            for (const char c : *value) {
                if (c == '\'') out += c;
                out += c;
            }
            out += '\'';
        }
        i = static_cast<std::size_t>(end - sql.data()) - 1;
    }
    return out;
}

std::string bytes_of(std::string_view hex) {
    std::string out;
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    for (std::size_t i = 2; i + 1 < hex.size(); i += 2) out += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
    return out;
}

std::int64_t rows::number(int row, int column) const {
    const auto t = text(row, column);
    std::int64_t out = 0;
    std::from_chars(t.data(), t.data() + t.size(), out);
    return out;
}
std::int64_t rows::affected() const {
    return raw_ ? std::atoll(PQcmdTuples(raw_.get())) : 0;
}

connection::connection(asio::io_context& context) : socket_(context), timer_(context) {}
connection::~connection() { close(); }

void connection::close() {
    *alive_ = false;
    timer_.cancel();
    if (socket_.is_open()) socket_.release();
    if (raw_) PQfinish(raw_);
    raw_ = nullptr;
    broken_ = true;
}

fault connection::lost() {
    broken_ = true;
    auto f = unavailable(lost_reason, timed_out_ ? "The database did not answer in time. Try again in a moment." : "The connection to the database was lost. Try again in a moment.");
    if (raw_ && PQerrorMessage(raw_)[0]) f.inside = PQerrorMessage(raw_);
    return f;
}

// Nothing comes unasked on an idle connection but its end.
bool connection::alive() {
    if (!usable()) return false;
    pollfd p{PQsocket(raw_), POLLIN, 0};
    if (::poll(&p, 1, 0) > 0 && (PQconsumeInput(raw_) != 1 || PQstatus(raw_) == CONNECTION_BAD)) return false;
    // A farewell that could still be read: the end follows it.
    return !((p.revents & (POLLHUP | POLLERR)) != 0 || (p.revents != 0 && ::poll(&p, 1, 0) > 0));
}

void connection::arm(std::chrono::milliseconds limit) {
    timed_out_ = false;
    const auto round = ++armed_;
    timer_.expires_after(limit);
    timer_.async_wait([this, round, alive = alive_](error_code failed) {
        if (failed || !*alive || round != armed_) return;
        timed_out_ = true;
        if (socket_.is_open()) socket_.cancel();
    });
}

awaitable<bool> connection::wait(asio::posix::stream_descriptor::wait_type what) {
    if (timed_out_) co_return false;
    auto [failed] = co_await socket_.async_wait(what, use_tuple);
    co_return !failed && !timed_out_;
}

awaitable<result<void>> connection::open(std::string conninfo, std::chrono::milliseconds limit) {
    arm(limit);
    conninfo_ = conninfo;
    // Our statements are short. The planner's guesses over partitions and young tables are not, and compiling for them cost
    // 0.8 s of CPU each second in an idle server. A statement that nobody waits for any more ends. Who sets options of their own in
    // the connection string decides alone.
    const std::array keywords{"options", "dbname", static_cast<const char*>(nullptr)};
    const std::array values{"-c jit=off -c client_connection_check_interval=2000", conninfo.c_str(), static_cast<const char*>(nullptr)};
    raw_ = PQconnectStartParams(keywords.data(), values.data(), 1);
    if (!raw_ || PQstatus(raw_) == CONNECTION_BAD) co_return lost();
    auto polled = PGRES_POLLING_WRITING;
    while (polled != PGRES_POLLING_OK) {
        // libpq may have changed the descriptor between two polls.
        const int fd = PQsocket(raw_);
        if (!socket_.is_open() || socket_.native_handle() != fd) {
            if (socket_.is_open()) socket_.release();
            socket_.assign(fd);
        }
        using wait_type = asio::posix::stream_descriptor;
        if (!co_await wait(polled == PGRES_POLLING_READING ? wait_type::wait_read : wait_type::wait_write)) co_return lost();
        socket_.release();
        polled = PQconnectPoll(raw_);
        if (polled == PGRES_POLLING_FAILED) co_return lost();
    }
    socket_.assign(PQsocket(raw_));
    if (PQsetnonblocking(raw_, 1) != 0 || PQenterPipelineMode(raw_) != 1) co_return lost();
    ++armed_;
    timer_.cancel();
    co_return result<void>{};
}

awaitable<result<PGresult*>> connection::next_result() {
    while (PQisBusy(raw_)) {
        if (!co_await wait(asio::posix::stream_descriptor::wait_read) || PQconsumeInput(raw_) != 1) co_return lost();
    }
    co_return PQgetResult(raw_);
}

awaitable<result<void>> connection::flush() {
    for (int flushed = PQflush(raw_); flushed != 0; flushed = PQflush(raw_)) {
        // The server may be blocked writing to us: read while we write.
        if (flushed < 0 || PQconsumeInput(raw_) != 1) co_return lost();
        if (!co_await wait(asio::posix::stream_descriptor::wait_write)) co_return lost();
    }
    co_return result<void>{};
}

// COPY does not go in pipeline mode. After any fault but PostgreSQL's own refusal the connection is lost.
awaitable<result<void>> connection::simple_query(const std::string& sql) {
    if (PQexitPipelineMode(raw_) != 1 || PQsendQuery(raw_, sql.c_str()) != 1) co_return lost();
    co_return co_await flush();
}
// The results up to the last one, or (true) up to where rows are copied out; `in` goes to a `copy … from stdin`.
awaitable<result<bool>> connection::simple_results(std::string_view in) {
    std::optional<fault> failure;
    while (true) {
        OVATION_CO_TRY(auto* raw, co_await next_result());
        if (!raw) break;
        const rows one(raw);
        const auto status = PQresultStatus(raw);
        if (status == PGRES_COPY_IN) {
            while (!in.empty()) {
                const auto piece = in.substr(0, 1 << 16);
                const int put = PQputCopyData(raw_, piece.data(), static_cast<int>(piece.size()));
                if (put < 0) co_return lost();
                if (put == 0 && !co_await wait(asio::posix::stream_descriptor::wait_write)) co_return lost();
                if (put == 1) in.remove_prefix(piece.size());
            }
            int ended = 0;
            while ((ended = PQputCopyEnd(raw_, nullptr)) == 0)
                if (!co_await wait(asio::posix::stream_descriptor::wait_write)) co_return lost();
            if (ended < 0) co_return lost();
            OVATION_CO_CHECK(co_await flush());
        } else if (status == PGRES_COPY_OUT) {
            co_return true;
        } else if (status == PGRES_FATAL_ERROR) {
            if (!failure) failure = refused(raw);
            if (PQstatus(raw_) == CONNECTION_BAD) co_return lost();
        }
    }
    if (PQenterPipelineMode(raw_) != 1) co_return lost();
    ++armed_;
    timer_.cancel();
    if (failure) {
        if (sqlstate(*failure).starts_with("57P")) co_return lost();
        co_return *failure;
    }
    co_return false;
}
awaitable<result<void>> connection::copy_in(std::string sql, std::string_view data, std::chrono::milliseconds limit) {
    if (!usable()) co_return lost();
    arm(limit);
    OVATION_CO_CHECK(co_await simple_query(sql));
    OVATION_CO_TRY(const bool out, co_await simple_results(data));
    if (out) co_return lost();  // nobody reads it
    co_return result<void>{};
}
awaitable<result<void>> connection::copy_begin(std::string sql, std::chrono::milliseconds limit) {
    if (!usable()) co_return lost();
    arm(limit);
    OVATION_CO_CHECK(co_await simple_query(sql));
    OVATION_CO_TRY(const bool out, co_await simple_results({}));
    if (!out) co_return lost();
    co_return result<void>{};
}
awaitable<result<bool>> connection::copy_some(std::size_t messages, std::chrono::milliseconds limit, std::function<void(std::string_view)> each) {
    if (!usable()) co_return lost();
    arm(limit);
    asio::steady_timer pause(socket_.get_executor());
    for (bool looked = false, flows = false; messages > 0;) {
        char* message = nullptr;
        const int size = PQgetCopyData(raw_, &message, 1);
        if (size < 0) co_return co_await simple_results({});
        if (size > 0) {
            each({message, static_cast<std::size_t>(size)});
            PQfreemem(message);
            --messages;
            looked = false;
            flows = true;
            continue;
        }
        if (std::exchange(looked, true)) {  // nothing more has come
            // PostgreSQL sends 8 KiB at a time, and whoever waits for each is woken for each. The socket holds half a millisecond of it.
            if (std::exchange(flows, false)) {
                pause.expires_after(std::chrono::microseconds(200));
                co_await pause.async_wait(use_tuple);
            }
            if (!co_await wait(asio::posix::stream_descriptor::wait_read)) co_return lost();
        }
        if (PQconsumeInput(raw_) != 1) co_return lost();
    }
    ++armed_;
    timer_.cancel();
    co_return true;
}
awaitable<result<void>> connection::copy_out(std::string sql, std::chrono::milliseconds limit, std::function<void(std::string_view)> each) {
    OVATION_CO_CHECK(co_await copy_begin(std::move(sql), limit));
    OVATION_CO_CHECK(co_await copy_some(std::numeric_limits<std::size_t>::max(), limit, std::move(each)));
    co_return result<void>{};
}

awaitable<result<std::vector<rows>>> connection::run(std::vector<request> requests, std::chrono::milliseconds limit) {
    if (!usable()) co_return lost();
    arm(limit);
    std::vector<bool> prepares(requests.size(), false);
    std::vector<const char*> pointers;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const auto& [what, values] = requests[i];
        if (!prepared_.contains(what->name)) {
            prepares[i] = true;
            prepared_.insert(what->name);
            if (PQsendPrepare(raw_, what->name, what->sql, 0, nullptr) != 1) co_return lost();
        }
        pointers.clear();
        for (const auto& v : values.values()) pointers.push_back(v ? v->c_str() : nullptr);
        if (PQsendQueryPrepared(raw_, what->name, static_cast<int>(pointers.size()), pointers.data(), nullptr, nullptr, 0) != 1) co_return lost();
    }
    if (PQpipelineSync(raw_) != 1) co_return lost();
    OVATION_CO_CHECK(co_await flush());

    std::vector<rows> out;
    std::optional<fault> failure;
    const std::size_t expected = requests.size();
    for (std::size_t i = 0; i < expected; ++i) {
        for (int part = prepares[i] ? 0 : 1; part < 2; ++part) {
            bool got = false;
            while (true) {
                auto next = co_await next_result();
                if (!next) co_return next.error();
                if (!*next) {
                    if (got) break;
                    co_return lost();
                }
                rows one(*next);
                got = true;
                const auto status = PQresultStatus(*next);
                if (status == PGRES_PIPELINE_ABORTED || status == PGRES_FATAL_ERROR) {
                    if (status == PGRES_FATAL_ERROR && !failure) failure = refused(*next);
                    if (prepares[i] && part == 0) prepared_.erase(requests[i].what->name);  // refused while it ran, it stays prepared
                    if (PQstatus(raw_) == CONNECTION_BAD) co_return lost();
                } else if (part == 1 && (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)) {
                    out.push_back(std::move(one));
                }
            }
        }
    }
    auto sync = co_await next_result();
    if (!sync) co_return sync.error();
    const bool synced = *sync && PQresultStatus(*sync) == PGRES_PIPELINE_SYNC;
    const bool sync_failed = *sync && PQresultStatus(*sync) == PGRES_FATAL_ERROR;
    if (sync_failed && !failure) failure = refused(*sync);
    PQclear(*sync);
    if (!synced) co_return lost();
    ++armed_;
    timer_.cancel();
    if (failure) {
        // An administrator's shutdown or a crash of the server: the connection is gone although it could still be read.
        if (const auto state = sqlstate(*failure); state.starts_with("57P")) co_return lost();
        co_return *failure;
    }
    co_return out;
}

awaitable<result<rows>> connection::query(const statement& what, params values, std::chrono::milliseconds limit) {
    std::vector<request> one;
    one.push_back({&what, std::move(values)});
    auto out = co_await run(std::move(one), limit);
    if (!out) co_return out.error();
    co_return std::move(out->at(0));
}

pool::pool(asio::io_context& context, std::string conninfo, std::size_t size) : context_(context), conninfo_(std::move(conninfo)), size_(size) {}

awaitable<result<pool::lease>> pool::acquire(std::chrono::milliseconds limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (out_ >= size_) {
        auto turn = std::make_shared<asio::steady_timer>(context_);
        turn->expires_at(until);
        waiting_.push_back(turn);
        co_await turn->async_wait(use_tuple);
        std::erase(waiting_, turn);
        if (out_ >= size_ && std::chrono::steady_clock::now() >= until)
            co_return unavailable("database_busy", "The database is busy. Try again in a moment.");
    }
    ++out_;
    while (!idle_.empty()) {
        auto c = std::move(idle_.back());
        idle_.pop_back();
        if (c->alive()) co_return lease(*this, std::move(c));
    }
    auto made = std::make_unique<connection>(context_);
    auto opened = co_await made->open(conninfo_, limit);
    if (!opened) {
        give_back(nullptr);
        co_return opened.error();
    }
    co_return lease(*this, std::move(made));
}

void pool::give_back(std::unique_ptr<connection> c) {
    --out_;
    if (c && c->at_rest()) idle_.push_back(std::move(c));  // what is still open is rolled back with its connection
    if (!waiting_.empty()) {
        waiting_.front()->cancel();
        waiting_.pop_front();
    }
}

pool::lease::~lease() {
    if (connection_) owner_->give_back(std::move(connection_));
}
awaitable<result<void>> pool::lease::begin() {
    OVATION_CO_CHECK(co_await connection_->query(begin_statement, {}, std::chrono::seconds(5)));
    co_return result<void>{};
}
awaitable<result<void>> pool::lease::commit() {
    OVATION_CO_CHECK(co_await connection_->query(commit_statement, {}, std::chrono::seconds(30)));
    co_return result<void>{};
}

awaitable<result<rows>> pool::query(const statement& what, params values, std::chrono::milliseconds limit) {
    // A connection that died while idle (a restart of the database) is noticed only when used: one more try on a fresh
    // one is safe as long as nothing was answered and the statement only reads; so it is left to callers.
    auto held = co_await acquire();
    if (!held) co_return held.error();
    co_return co_await (*held)->query(what, std::move(values), limit);
}
awaitable<result<std::vector<rows>>> pool::run(std::vector<request> requests, std::chrono::milliseconds limit) {
    auto held = co_await acquire();
    if (!held) co_return held.error();
    co_return co_await (*held)->run(std::move(requests), limit);
}

}  // namespace ovation::pg
