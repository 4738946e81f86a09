#include "server/transport.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <cerrno>
#include <climits>

namespace ovation::server {
namespace {
constexpr auto sweep_every = std::chrono::milliseconds(500);
// What the kernel may hold unsent; more would hide seconds of sound behind a stalled peer.
constexpr std::int64_t finish_ms = 1'500;
constexpr std::size_t finish_bytes_max = 16 * 1024 * 1024;
constexpr int unsent_bytes_max = 16 * 1024;
constexpr std::size_t record_bytes_max = 16 * 1024;  // of one TLS record
constexpr int direct_reads_max = 8;
}  // namespace

awaitable<void> sweeper::run() {
    while (!stopping_) {
        timer_.expires_after(sweep_every);
        co_await timer_.async_wait(use_tuple);
        const auto now = clock_.steady_ms();
        for (auto* t : all_)
            if (t->deadline_ms_ != 0 && now > t->deadline_ms_) t->shut_down();
    }
}
void sweeper::stop() {
    stopping_ = true;
    timer_.cancel();
}
void sweeper::close_all() {
    for (auto* t : all_) t->shut_down();
}

transport::transport(asio::ip::tcp::socket socket, ssl_ptr ssl, sweeper& keeper) : socket_(std::move(socket)), ssl_(std::move(ssl)), keeper_(keeper) {
    keeper_.all_.insert(this);
    error_code ignored;
    socket_.native_non_blocking(true, ignored);
    const int one = 1;
    setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes_max, sizeof unsent_bytes_max);
    if (ssl_) SSL_set_fd(ssl_.get(), socket_.native_handle());
}
transport::~transport() { keeper_.all_.erase(this); }

awaitable<void> transport::finish() {
    if (down_ || !socket_.is_open()) co_return;
    deadline_in(finish_ms);
    if (!co_await flush()) co_return shut_down();
    if (ssl_) SSL_shutdown(ssl_.get());
    ::shutdown(socket_.native_handle(), SHUT_WR);
    char unread[16 * 1024];
    for (std::size_t total = 0; total < finish_bytes_max;) {
        if (down_) break;
        const auto got = ::recv(socket_.native_handle(), unread, sizeof unread, 0);
        if (got > 0) total += static_cast<std::size_t>(got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR) || !co_await wait(asio::ip::tcp::socket::wait_read)) break;
    }
    shut_down();
}

void transport::deadline_in(std::int64_t ms) { deadline_ms_ = ms == 0 ? 0 : keeper_.clock_.steady_ms() + ms; }

void transport::shut_down() {
    if (down_) return;
    down_ = true;
    if (!socket_.is_open()) return;
    ::shutdown(socket_.native_handle(), SHUT_RDWR);
    error_code ignored;
    socket_.cancel(ignored);
}

awaitable<bool> transport::wait(asio::ip::tcp::socket::wait_type what) {
    if (down_) co_return false;
    auto [failed] = co_await socket_.async_wait(what, use_tuple);
    co_return !failed && !down_;
}

awaitable<bool> transport::handshake() {
    if (!ssl_) co_return true;
    while (true) {
        ERR_clear_error();
        const int r = SSL_accept(ssl_.get());
        if (r == 1) co_return true;
        switch (SSL_get_error(ssl_.get(), r)) {
            case SSL_ERROR_WANT_READ:
                if (!co_await wait(asio::ip::tcp::socket::wait_read)) co_return false;
                break;
            case SSL_ERROR_WANT_WRITE:
                if (!co_await wait(asio::ip::tcp::socket::wait_write)) co_return false;
                break;
            default: co_return false;
        }
    }
}

awaitable<void> transport::turn() { co_await asio::post(socket_.get_executor(), asio::use_awaitable); }

awaitable<std::ptrdiff_t> transport::read_some(char* to, std::size_t size) {
    // Who always has more to read does not keep the core.
    if (++direct_reads_ > direct_reads_max) {
        direct_reads_ = 0;
        co_await turn();
    }
    while (!down_) {
        if (ssl_) {
            ERR_clear_error();
            const int r = SSL_read(ssl_.get(), to, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
            if (r > 0) co_return r;
            const int why = SSL_get_error(ssl_.get(), r);
            if (why == SSL_ERROR_ZERO_RETURN) co_return 0;
            if (why == SSL_ERROR_WANT_WRITE) {
                if (!co_await wait(asio::ip::tcp::socket::wait_write)) co_return -1;
                continue;
            }
            if (why != SSL_ERROR_WANT_READ) co_return -1;
        } else {
            const auto r = ::recv(socket_.native_handle(), to, size, 0);
            if (r >= 0) co_return r;
            if (errno == EINTR) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) co_return -1;
        }
        if (!co_await wait(asio::ip::tcp::socket::wait_read)) co_return -1;
    }
    co_return -1;
}

std::ptrdiff_t transport::write_record(std::string_view bytes) {
    ERR_clear_error();
    const int r = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    if (r > 0) return r;
    const int why = SSL_get_error(ssl_.get(), r);
    return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -1;
}
// 1: nothing is kept any more.
std::ptrdiff_t transport::push_kept() {
    while (!kept_.empty()) {
        const auto taken = write_record(kept_);
        if (taken <= 0) return taken;
        kept_.erase(0, static_cast<std::size_t>(taken));
    }
    return 1;
}
void transport::push_later() {
    socket_.async_wait(asio::ip::tcp::socket::wait_write, [this, here = std::weak_ptr(alive_)](error_code failed) {
        if (failed || here.expired() || down_) return;
        const auto pushed = push_kept();
        if (pushed == 0) push_later();
        if (pushed < 0) shut_down();
    });
}
awaitable<bool> transport::flush() {
    while (true) {
        const auto pushed = down_ ? -1 : push_kept();
        if (pushed != 0) co_return pushed > 0;
        if (!co_await wait(asio::ip::tcp::socket::wait_write)) co_return false;
    }
}

std::ptrdiff_t transport::try_write(std::string_view bytes) {
    if (down_ || bytes.empty()) return down_ ? -1 : 0;
    if (ssl_) {
        if (const auto pushed = push_kept(); pushed <= 0) return pushed;
        bytes = bytes.substr(0, record_bytes_max);
        if (const auto taken = write_record(bytes); taken != 0) return taken;
        kept_ = bytes;
        push_later();
        return std::ssize(bytes);
    }
    while (true) {
        const auto r = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (r >= 0) return r;
        if (errno == EINTR) continue;
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    }
}

awaitable<bool> transport::write_all(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto taken = try_write(bytes);
        if (taken < 0) co_return false;
        if (taken == 0) {
            if (!co_await wait(asio::ip::tcp::socket::wait_write)) co_return false;
            continue;
        }
        bytes.remove_prefix(static_cast<std::size_t>(taken));
    }
    co_return co_await flush();
}

void transport::wait_writable(std::function<void()> ready) {
    socket_.async_wait(asio::ip::tcp::socket::wait_write, [ready = std::move(ready)](error_code failed) {
        if (!failed) ready();
    });
}

travelling transport::release() {
    error_code ignored;
    travelling out{socket_.release(ignored), std::move(ssl_)};
    down_ = true;
    return out;
}
asio::ip::tcp::socket transport::assign(asio::io_context& context, int descriptor) {
    asio::ip::tcp::socket s(context);
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
    error_code ignored;
    s.assign(address.ss_family == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), descriptor, ignored);
    return s;
}

}  // namespace ovation::server
