// HTTP/1.1 over a transport: Beast parses, the answer is written here. No Beast in this header (it is the build's cost).
#pragma once
#include <functional>
#include <istream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/transport.hpp"

namespace ovation::server {

struct http_request {
    std::string method, target, path, query, body;
    std::map<std::string, std::string> headers;  // lower-case names; repeated ones joined by ", "
    bool keep_alive = false;
    int version = 11;     // 10 or 11
    std::string address;  // the client's
    [[nodiscard]] std::string_view header(const std::string& name) const {
        const auto at = headers.find(name);
        return at == headers.end() ? std::string_view{} : std::string_view(at->second);
    }
};

struct http_response {
    int status = 200;
    std::string type = "text/plain; charset=utf-8";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    bool close = false;
    // Bytes that follow the body: a file of sound goes out in pieces.
    std::shared_ptr<std::istream> tail = nullptr;
    std::size_t tail_bytes = 0;
};

http_response plain_response(int status, std::string text);
std::string write_head(const http_response& response, bool keep_alive, bool head_only);

enum class http_read { request, closed, broken, bad, header_too_big, body_too_big };

class http_reader {
public:
    explicit http_reader(transport& from) : from_(from) {}
    // The next request; on `bad` and the two limits the caller answers and closes.
    // body_max: asked with the head alone, before the body is read.
    awaitable<http_read> next(http_request& to, std::function<std::size_t(const http_request& head)> body_max);
    // What came behind the request (the first frames of a WebSocket).
    [[nodiscard]] std::string take_rest() { return std::move(buffer_); }

private:
    transport& from_;
    std::string buffer_;
};

// plus_is_blank: in queries only.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_blank);
// nullopt: something in it cannot be decoded.
std::optional<std::map<std::string, std::string>> parse_query(std::string_view query);
// Is `token` one of the comma-separated ones, in any case?
bool has_token(std::string_view list, std::string_view token);
std::string lower(std::string_view text);

}  // namespace ovation::server
