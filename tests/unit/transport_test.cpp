// A connection over TLS whose reader stalls: what was taken arrives, whatever is offered next.
#include <sys/socket.h>

#include <boost/asio/use_future.hpp>
#include <future>
#include <thread>

#include "server/transport.hpp"
#include "tests/support/catch.hpp"

namespace transport_test {
using namespace ovation;
using namespace ovation::server;

// Keys without a certificate, for a test.
SSL_CTX* anonymous(const SSL_METHOD* method) {
    auto* out = SSL_CTX_new(method);
    SSL_CTX_set_security_level(out, 0);
    SSL_CTX_set_max_proto_version(out, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(out, "aNULL");
    SSL_CTX_set_dh_auto(out, 1);
    SSL_CTX_set_mode(out, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    return out;
}

TEST_CASE("transport: over TLS, what is taken arrives whole and in order, though after a stall other bytes are offered than before it") {
    const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> near(anonymous(TLS_server_method()), &SSL_CTX_free), far(anonymous(TLS_client_method()), &SSL_CTX_free);
    asio::io_context context(1);
    system_clock_source clock;
    sweeper keeper(context, clock);
    asio::ip::tcp::acceptor door(context, {asio::ip::address_v4::loopback(), 0});
    std::promise<void> read_on;
    std::string arrived;
    std::thread reader([&, port = door.local_endpoint().port()] {
        asio::io_context own;
        asio::ip::tcp::socket s(own);
        s.connect({asio::ip::address_v4::loopback(), port});
        const ssl_ptr tls(SSL_new(far.get()));
        SSL_set_fd(tls.get(), s.native_handle());
        if (SSL_connect(tls.get()) != 1) return;
        read_on.get_future().wait_for(std::chrono::seconds(20));
        char some[16 * 1024];
        for (int n = 0; (n = SSL_read(tls.get(), some, sizeof some)) > 0;) arrived.append(some, static_cast<std::size_t>(n));
    });
    std::string taken;
    int full = 0, broken = 0;
    const auto done = asio::co_spawn(context, [&]() -> awaitable<void> {
        auto [failed, socket] = co_await door.async_accept(use_tuple);
        transport t(std::move(socket), ssl_ptr(SSL_new(near.get())), keeper);
        if (failed || !co_await t.handshake()) co_return;
        for (int i = 0; i < 1'000'000 && full < 8 && broken == 0; ++i) {
            const std::string offered = std::to_string(i) + std::string(static_cast<std::size_t>(100 + i * 37 % 20'000), static_cast<char>('a' + i % 26));
            const auto n = t.try_write(offered);
            if (n < 0) ++broken;
            else if (n == 0) ++full;
            else taken += offered.substr(0, static_cast<std::size_t>(n));
        }
        read_on.set_value();
        if (!co_await t.flush()) ++broken;
        if (!co_await t.write_all("the end")) ++broken;
        co_await t.finish();
    }, asio::use_future);
    context.run_for(std::chrono::seconds(30));
    reader.join();
    REQUIRE(done.wait_for(std::chrono::seconds(0)) == std::future_status::ready);
    CHECK(broken == 0);
    CHECK(full == 8);
    CHECK(taken.size() > 16'000);
    CHECK((arrived == taken + "the end"));
}

}  // namespace transport_test
