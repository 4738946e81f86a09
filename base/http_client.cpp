#include "base/http_client.hpp"

#include <spdlog/fmt/fmt.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

namespace ovation {
namespace {
namespace beast = boost::beast;
namespace http = beast::http;
constexpr std::size_t body_max = 1024 * 1024;

struct place {
    std::string host, port;
    bool tls = false;
};
std::optional<place> place_of(std::string_view url) {
    place out;
    if (url.starts_with("https://")) out.tls = true, url.remove_prefix(8);
    else if (url.starts_with("http://")) url.remove_prefix(7);
    else return std::nullopt;
    url = url.substr(0, url.find('/'));
    const auto colon = url.rfind(':');
    out.host = url.substr(0, colon);
    out.port = colon == url.npos ? (out.tls ? "443" : "80") : std::string(url.substr(colon + 1));
    if (out.host.empty()) return std::nullopt;
    return out;
}
template <class Stream>
awaitable<http_reply> exchange(Stream& stream, const place& at, const http_call& call) {
    http::request<http::string_body> request(http::string_to_verb(call.method), call.target, 11);
    request.set(http::field::host, at.host);
    request.set(http::field::user_agent, "ovation");
    for (const auto& [name, value] : call.headers) request.set(name, value);
    request.body() = call.body;
    request.prepare_payload();
    co_await http::async_write(stream, request, asio::use_awaitable);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(body_max);
    co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
    http_reply out{static_cast<int>(parser.get().result_int()), {}, std::move(parser.get().body())};
    for (const auto& field : parser.get()) {
        std::string name(field.name_string());
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        out.headers.emplace_back(std::move(name), std::string(field.value()));
    }
    co_return out;
}
}  // namespace

std::string_view http_reply::header(std::string_view name) const {
    for (const auto& [n, value] : headers)
        if (n == name) return value;
    return {};
}

struct http_link::line {
    explicit line(const place& where) : at(where) {}
    place at;
    asio::ssl::context trust{asio::ssl::context::tls_client};
    std::optional<beast::tcp_stream> plain;
    std::optional<beast::ssl_stream<beast::tcp_stream>> secure;
    std::chrono::steady_clock::time_point used;

    awaitable<void> open(const std::string& ca_file, std::chrono::milliseconds limit) {
        const auto executor = co_await asio::this_coro::executor;
        plain.emplace(executor);
        plain->expires_after(limit);
        asio::ip::tcp::resolver resolver(executor);
        const auto found = co_await resolver.async_resolve(at.host, at.port, asio::use_awaitable);
        co_await plain->async_connect(found, asio::use_awaitable);
        plain->socket().set_option(asio::ip::tcp::no_delay(true));
        if (!at.tls) co_return;
        if (ca_file.empty()) trust.set_default_verify_paths();
        else trust.load_verify_file(ca_file);
        secure.emplace(std::move(*plain), trust);
        secure->set_verify_mode(asio::ssl::verify_peer);
        secure->set_verify_callback(asio::ssl::host_name_verification(at.host));
        SSL_set_tlsext_host_name(secure->native_handle(), at.host.c_str());
        co_await secure->async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
    }
};
http_link::http_link(http_server to) : to_(std::move(to)) {}
http_link::~http_link() = default;
http_link::http_link(http_link&&) noexcept = default;
http_link& http_link::operator=(http_link&&) noexcept = default;

awaitable<result<http_reply>> http_link::call(http_call call, std::chrono::milliseconds limit) {
    constexpr auto idle_max = std::chrono::seconds(5);  // less than servers keep one open
    try {
        if (line_ && std::chrono::steady_clock::now() - line_->used > idle_max) line_.reset();
        if (!line_) {
            const auto at = place_of(to_.url);
            if (!at) co_return internal_fault(fmt::format("{} is not the address of a server", to_.url));
            line_ = std::make_unique<line>(*at);
            co_await line_->open(to_.ca_file, limit);
        }
        (line_->secure ? beast::get_lowest_layer(*line_->secure) : *line_->plain).expires_after(limit);
        auto reply = line_->secure ? co_await exchange(*line_->secure, line_->at, call) : co_await exchange(*line_->plain, line_->at, call);
        line_->used = std::chrono::steady_clock::now();
        if (reply.header("connection") == "close") line_.reset();
        co_return reply;
    } catch (const boost::system::system_error& e) {
        line_.reset();
        auto f = unavailable("provider_unreachable", "The provider of this payment cannot be reached. Nothing was charged; try again in a moment.");
        f.inside = fmt::format("{}: {}", to_.url, e.code().message());
        co_return f;
    }
}

awaitable<result<http_reply>> fetch(http_server server, http_call call, std::chrono::milliseconds limit) {
    http_link once(std::move(server));
    call.headers.emplace_back("connection", "close");
    co_return co_await once.call(std::move(call), limit);
}

std::string url_encoded(std::string_view text) {
    std::string out;
    for (const char one : text) {
        const auto c = static_cast<unsigned char>(one);
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
        out += plain ? std::string(1, one) : fmt::format("%{:02X}", c);
    }
    return out;
}

}  // namespace ovation
