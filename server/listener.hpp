// The door: one SO_REUSEPORT acceptor a core, TLS where asked, HTTP until a request upgrades to the live wire.
#pragma once
#include <filesystem>

#include "base/limits.hpp"
#include "payments/service.hpp"
#include "rooms/recordings.hpp"
#include "server/connect.hpp"
#include "server/live_session.hpp"

namespace ovation::server {

struct ssl_context_deleter {
    void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
};
using ssl_context_ptr = std::unique_ptr<SSL_CTX, ssl_context_deleter>;
// Throws a sentence that names the setting when a PEM file cannot be used.
ssl_context_ptr tls_of(const std::string& certificate, const std::string& key);

struct listener_options {
    std::string address = "127.0.0.1";
    std::uint16_t port = 8080;
    std::string tls_cert, tls_key;      // PEM files; empty: plain
    std::filesystem::path web_root;     // empty or missing: no pages
    std::filesystem::path media_root;   // backing tracks
    std::filesystem::path shared_root;  // mixes of recordings, by token
    std::filesystem::path seal_folder;  // checkpoints and tiles; empty: none
    std::vector<std::string> allowed_origins;
    std::vector<std::string> trusted_proxies;
    double rate_factor = 1;
};

struct listener_parts {
    cores& all;
    const clock_source& clock;
    metrics& registry;
    connect_router& rpc;
    live_parts& live;
    payments::service& payments;
    rooms::recordings& kept;
    std::function<awaitable<std::vector<std::pair<std::string, bool>>>()> readiness;
};

class listener {
public:
    listener(listener_options options, listener_parts parts);
    // Throws with a sentence for people when the port is taken or the certificate cannot be read.
    void open();
    void start();
    void stop_accepting();
    void close_idle();
    [[nodiscard]] std::uint16_t port() const { return options_.port; }
    std::vector<sweeper*> sweepers();

private:
    struct door {
        std::unique_ptr<asio::ip::tcp::acceptor> acceptor;
        std::unique_ptr<sweeper> keeper;
    };
    awaitable<void> accept(core& here);
    awaitable<void> serve(core& here, asio::ip::tcp::socket socket, std::string address);
    awaitable<http_response> answer(const http_request& request);
    awaitable<bool> upgrade(http_request& request, http_reader& reader, std::unique_ptr<transport>& connection);
    [[nodiscard]] bool origin_allowed(const http_request& request) const;
    [[nodiscard]] std::string client_address(const http_request& request, const std::string& peer) const;
    // pages_too: a path without a file is a page of the client's own.
    http_response file(const http_request& request, bool pages_too);

    listener_options options_;
    listener_parts p_;
    ssl_context_ptr tls_;
    std::vector<door> doors_;
    rate_limiter<std::string> connections_;
    std::atomic<bool> stopping_{false};
    gauge& open_;
    counter& accepted_;
};

}  // namespace ovation::server
