#include "server/http.hpp"

#include <spdlog/fmt/fmt.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace ovation::server {
namespace http = boost::beast::http;

std::string lower(std::string_view text) {
    std::string out(text);
    for (auto& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

bool has_token(std::string_view list, std::string_view token) {
    while (!list.empty()) {
        const auto cut = list.find(',');
        if (lower(text::trim(list.substr(0, cut))) == token) return true;
        list.remove_prefix(cut == std::string_view::npos ? list.size() : cut + 1);
    }
    return false;
}

namespace {
http_request head_of(const http::request<http::string_body>& message) {
    http_request to;
    to.method = std::string(message.method_string());
    to.target = std::string(message.target());
    const auto cut = to.target.find('?');
    to.path = to.target.substr(0, cut);
    if (cut != std::string::npos) to.query = to.target.substr(cut + 1);
    for (const auto& f : message) {
        auto& value = to.headers[lower(f.name_string())];
        if (!value.empty()) value += ", ";
        value += std::string(f.value());
    }
    to.keep_alive = message.keep_alive();
    to.version = static_cast<int>(message.version());
    return to;
}
// RFC 9112 section 3.2: exactly one Host; our own origin is judged by it. Section 6: any other transfer coding, or one in HTTP/1.0,
// leaves the body's end in doubt.
bool is_sound(const http_request& head, std::size_t hosts) {
    if (head.version == 11 && hosts != 1) return false;
    return !head.headers.contains("transfer-encoding") || (head.version != 10 && lower(head.header("transfer-encoding")) == "chunked");
}
}  // namespace

awaitable<http_read> http_reader::next(http_request& to, std::function<std::size_t(const http_request& head)> body_max) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(limits::http_header_bytes_max));
    parser.body_limit(boost::none);  // set as soon as the head says what it is
    bool started = !buffer_.empty();
    // Not eager: it stops behind the header, whose bytes are then known. Beast's own limit counts only what waits unparsed.
    parser.eager(false);
    std::size_t head = 0;
    while (!parser.is_done()) {
        // Beast 1.81 asserts that five bytes are there once it has seen an empty body's last chunk.
        const bool too_early = buffer_.size() == 4 && buffer_.starts_with("0\r\n") && parser.is_header_done() && parser.chunked();
        if (!buffer_.empty() && !too_early) {
            error_code failed;
            const auto used = parser.put(asio::const_buffer(buffer_.data(), buffer_.size()), failed);
            buffer_.erase(0, used);
            const bool in_head = !parser.eager();
            if (in_head) head += used;
            if (failed == http::error::header_limit) co_return http_read::header_too_big;
            if (failed == http::error::body_limit) co_return http_read::body_too_big;
            if (failed && failed != http::error::need_more) co_return http_read::bad;
            if (in_head && head + (parser.is_header_done() ? 0 : buffer_.size()) > limits::http_header_bytes_max) co_return http_read::header_too_big;
            if (in_head && parser.is_header_done()) {
                parser.eager(true);
                to = head_of(parser.get());
                if (!is_sound(to, parser.get().count(http::field::host))) co_return http_read::bad;
                const auto most = body_max(to);
                if (parser.content_length().value_or(0) > most) co_return http_read::body_too_big;
                parser.body_limit(most);
                if (most > limits::rpc_body_bytes_max) from_.deadline_in(limits::rpc_file_deadline_ms);
                if (!parser.is_done() && lower(to.header("expect")) == "100-continue" && !co_await from_.write_all("HTTP/1.1 100 Continue\r\n\r\n")) co_return http_read::broken;
                if (!parser.is_done() && !buffer_.empty()) continue;  // the body has come with it
            }
            if (parser.is_done()) break;
            // What a body leaves unread is the head of a chunk, or trailers: Beast 1.81 has no limit of its own for them.
            if (!in_head && buffer_.size() > limits::http_header_bytes_max) co_return http_read::header_too_big;
        }
        char chunk[16 * 1024];
        const auto got = co_await from_.read_some(chunk, sizeof chunk);
        if (got == 0 && !started) co_return http_read::closed;
        if (got <= 0) co_return started ? http_read::broken : http_read::closed;
        // The first byte starts the clock of the whole request.
        if (!started) from_.deadline_in(limits::handshake_deadline_ms * 2);
        started = true;
        buffer_.append(chunk, static_cast<std::size_t>(got));
    }
    to.body = std::move(parser.get().body());
    co_return http_read::request;
}

http_response plain_response(int status, std::string text) {
    http_response r;
    r.status = status;
    r.body = std::move(text);
    return r;
}

std::string write_head(const http_response& response, bool keep_alive, bool head_only) {
    std::string out = fmt::format("HTTP/1.1 {} {}\r\n", response.status, response.status == 499 ? "Client Closed Request" : std::string(http::obsolete_reason(static_cast<http::status>(response.status))));
    if (!response.type.empty()) out += fmt::format("Content-Type: {}\r\n", response.type);
    for (const auto& [name, value] : response.headers) out += fmt::format("{}: {}\r\n", name, value);
    if (response.status == 204) out += keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
    else if (response.status != 101) out += fmt::format("Content-Length: {}\r\nConnection: {}\r\n", response.body.size() + response.tail_bytes, keep_alive ? "keep-alive" : "close");
    out += "\r\n";
    if (!head_only) out += response.body;
    return out;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_blank) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus_is_blank) {
            out += ' ';
            continue;
        }
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        int value = 0;
        if (i + 2 >= text.size()) return std::nullopt;
        for (int k = 1; k <= 2; ++k) {
            const char c = text[i + static_cast<std::size_t>(k)];
            value <<= 4;
            if (c >= '0' && c <= '9') value += c - '0';
            else if (c >= 'a' && c <= 'f') value += c - 'a' + 10;
            else if (c >= 'A' && c <= 'F') value += c - 'A' + 10;
            else return std::nullopt;
        }
        out += static_cast<char>(value);
        i += 2;
    }
    return out;
}

std::optional<std::map<std::string, std::string>> parse_query(std::string_view query) {
    std::map<std::string, std::string> out;
    while (!query.empty()) {
        const auto end = query.find('&');
        const auto pair = query.substr(0, end);
        query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
        const auto equals = pair.find('=');
        auto key = percent_decode(pair.substr(0, equals), true);
        auto value = percent_decode(equals == std::string_view::npos ? "" : pair.substr(equals + 1), true);
        if (!key || !value) return std::nullopt;
        out[std::move(*key)] = std::move(*value);
    }
    return out;
}

}  // namespace ovation::server
