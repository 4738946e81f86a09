// Requests to another server: HTTP/1.1, plain or TLS with the certificate checked; every wait carries the deadline.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/asio.hpp"
#include "base/fault.hpp"

namespace ovation {

struct http_call {
    std::string method = "GET";
    std::string target = "/";
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
};
struct http_reply {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;  // names in small letters
    std::string body;
    [[nodiscard]] std::string_view header(std::string_view name) const;
};
struct http_server {
    std::string url;      // https://host[:port]
    std::string ca_file;  // PEM; empty: the system's
};

// One request after the other on one connection, which is opened when it is needed. For one coroutine at a time.
class http_link {
public:
    explicit http_link(http_server to);
    ~http_link();
    http_link(http_link&&) noexcept;
    http_link& operator=(http_link&&) noexcept;
    // Refused: provider_unreachable (no name, no connection, no certificate, no answer in time; retryable; it may have been received).
    awaitable<result<http_reply>> call(http_call call, std::chrono::milliseconds limit);

private:
    struct line;
    http_server to_;
    std::unique_ptr<line> line_;
};

// A connection for one request, as the few calls of a payment take. Refused as above.
awaitable<result<http_reply>> fetch(http_server server, http_call call, std::chrono::milliseconds limit);
// %XX of everything but letters, digits and -._~
std::string url_encoded(std::string_view text);

}  // namespace ovation
