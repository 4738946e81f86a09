// One accepted connection, plain or TLS, on one core. Direct non-blocking reads and writes on the descriptor, so that the
// fan-out can hand the same bytes to every socket; the descriptor can move to another core. Deadlines are kept by the
// core's sweeper, which looks at all connections twice a second.
#pragma once
#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/asio.hpp"
#include "base/clock.hpp"

namespace ovation::server {

class transport;

// Ends connections that are past their deadline. One for each core.
class sweeper {
public:
    sweeper(asio::io_context& context, const clock_source& clock) : clock_(clock), timer_(context) {}
    awaitable<void> run();
    void stop();
    [[nodiscard]] const clock_source& clock() const { return clock_; }
    [[nodiscard]] std::size_t size() const { return all_.size(); }
    void close_all();

private:
    friend class transport;
    const clock_source& clock_;
    asio::steady_timer timer_;
    bool stopping_ = false;
    std::set<transport*> all_;
};

struct ssl_deleter {
    void operator()(SSL* s) const { SSL_free(s); }
};
using ssl_ptr = std::unique_ptr<SSL, ssl_deleter>;

// A connection between two cores.
struct travelling {
    int descriptor = -1;
    ssl_ptr ssl;
};

class transport {
public:
    transport(asio::ip::tcp::socket socket, ssl_ptr ssl, sweeper& keeper);
    ~transport();
    transport(const transport&) = delete;
    transport& operator=(const transport&) = delete;

    awaitable<bool> handshake();
    // Bytes read; 0: the peer has closed; −1: broken or past its deadline.
    awaitable<std::ptrdiff_t> read_some(char* to, std::size_t size);
    awaitable<bool> write_all(std::string_view bytes);
    // Without waiting. Bytes taken, 0: full; −1: broken. Over TLS up to a record of what was taken may wait here.
    std::ptrdiff_t try_write(std::string_view bytes);
    // Until nothing that was taken waits here.
    awaitable<bool> flush();
    // Lets everybody else of the core go first.
    awaitable<void> turn();
    void wait_writable(std::function<void()> ready);
    void shut_down();  // both directions; a waiting read ends
    // Sends our end and lets the peer read what we wrote: closing with unread input would reset the connection under it.
    awaitable<void> finish();
    void deadline_in(std::int64_t ms);
    travelling release();
    static asio::ip::tcp::socket assign(asio::io_context& context, int descriptor);

private:
    friend class sweeper;
    std::ptrdiff_t write_record(std::string_view bytes);
    std::ptrdiff_t push_kept();
    void push_later();
    awaitable<bool> wait(asio::ip::tcp::socket::wait_type what);
    asio::ip::tcp::socket socket_;
    ssl_ptr ssl_;
    std::string kept_;  // of a TLS record that the socket did not take: OpenSSL wants the same bytes again, whatever comes next
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    int direct_reads_ = 0;
    sweeper& keeper_;
    std::int64_t deadline_ms_ = 0;
    bool down_ = false;
};

}  // namespace ovation::server
