// One request to somebody else's server: HTTP/1.1, plain or TLS with the certificate checked, a connection for each. For the few calls
// that a payment takes; every wait carries the deadline.
#pragma once
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

// Refused: provider_unreachable (no name, no connection, no certificate, no answer in time; retryable).
awaitable<result<http_reply>> fetch(http_server server, http_call call, std::chrono::milliseconds limit);
// %XX of everything but letters, digits and -._~
std::string url_encoded(std::string_view text);

}  // namespace ovation
