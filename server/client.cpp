#include "server/client.hpp"

#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <spdlog/fmt/fmt.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/crypto.hpp"
#include "ovation/v1/access.pb.h"

namespace ovation::client {
namespace {

code code_of(std::string_view name) {
    for (int i = 0; i < 16; ++i)
        if (code_name(static_cast<code>(i)) == name) return static_cast<code>(i);
    return code::unknown;
}

fault fault_of(int status, const std::string& body) {
    fault f;
    f.kind = code::unknown;
    f.message = fmt::format("HTTP {}", status);
    boost::system::error_code bad;
    const auto json = boost::json::parse(body, bad);
    if (bad || !json.is_object()) return f;
    const auto& o = json.get_object();
    if (const auto* c = o.if_contains("code"); c && c->is_string()) f.kind = code_of(std::string_view(c->get_string().data(), c->get_string().size()));
    if (const auto* m = o.if_contains("message"); m && m->is_string()) f.message = m->get_string().c_str();
    if (const auto* d = o.if_contains("details"); d && d->is_array() && !d->get_array().empty()) {
        std::string value = d->get_array()[0].get_object().at("value").get_string().c_str();
        while (value.size() % 4) value += '=';
        v1::ErrorDetail detail;
        if (const auto bytes = crypto::from_base64(value); bytes && detail.ParseFromString(*bytes)) {
            f.reason = detail.reason();
            f.retryable = detail.retryable();
            f.retry_after_ms = detail.retry_after_ms();
            f.field = detail.field();
        }
    }
    return f;
}
}  // namespace

address address::parse(const std::string& url, std::string ca) {
    const bool tls = url.starts_with("https://");
    if (!tls && !url.starts_with("http://")) throw std::runtime_error(fmt::format("url: {} does not start with http:// or https://.", url));
    auto rest = url.substr(url.find("//") + 2);
    rest = rest.substr(0, rest.find('/'));
    const auto colon = rest.rfind(':');
    if (colon == std::string::npos) return {rest, tls ? "443" : "80", tls, std::move(ca)};
    return {rest.substr(0, colon), rest.substr(colon + 1), tls, std::move(ca)};
}

stream::stream(const address& to) : fd_(-1), tls_(nullptr, &SSL_free) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(to.host.c_str(), to.port.c_str(), &hints, &found) != 0) throw std::runtime_error(fmt::format("There is no host {}.", to.host));
    for (auto* a = found; a && fd_ < 0; a = a->ai_next) {
        fd_ = ::socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd_ >= 0 && ::connect(fd_, a->ai_addr, a->ai_addrlen) != 0) {
            ::close(fd_);
            fd_ = -1;
        }
    }
    freeaddrinfo(found);
    if (fd_ < 0) throw std::runtime_error(fmt::format("Cannot reach {} port {}. Is the server running?", to.host, to.port));
    const int one = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (to.tls) secure(to);
}
void stream::secure(const address& to) {
    const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    if (to.ca.empty() ? SSL_CTX_set_default_verify_paths(context.get()) != 1 : SSL_CTX_load_verify_locations(context.get(), to.ca.c_str(), nullptr) != 1)
        throw std::runtime_error(fmt::format("ca: {} is no PEM file of an authority.", to.ca));
    tls_.reset(SSL_new(context.get()));
    auto* names = SSL_get0_param(tls_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(names, to.host.c_str()) != 1) {
        SSL_set_tlsext_host_name(tls_.get(), to.host.c_str());
        X509_VERIFY_PARAM_set1_host(names, to.host.c_str(), 0);
    }
    SSL_set_fd(tls_.get(), fd_);
    SSL_clear_mode(tls_.get(), SSL_MODE_AUTO_RETRY);
    if (SSL_connect(tls_.get()) != 1) throw std::runtime_error(fmt::format("No TLS with {} port {}: {}.", to.host, to.port, X509_verify_cert_error_string(SSL_get_verify_result(tls_.get()))));
}
stream::~stream() {
    if (fd_ >= 0) ::close(fd_);
}
void stream::send(std::string_view bytes) const {
    while (!bytes.empty()) {
        const auto n = tls_ ? SSL_write(tls_.get(), bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 1u << 30))) : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) throw std::runtime_error("The connection to the server is broken.");
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}
std::string stream::receive(int timeout_ms) const {
    pollfd p{fd_, POLLIN, 0};
    char chunk[64 * 1024];
    std::ptrdiff_t n = 0;
    do {
        if (!(tls_ && SSL_pending(tls_.get()) > 0) && ::poll(&p, 1, timeout_ms) == 0) return {};
        n = tls_ ? SSL_read(tls_.get(), chunk, sizeof chunk) : ::recv(fd_, chunk, sizeof chunk, 0);
    } while (tls_ && n < 0 && SSL_get_error(tls_.get(), static_cast<int>(n)) == SSL_ERROR_WANT_READ);  // a ticket, no data
    if (n <= 0) throw std::runtime_error("The server has closed the connection.");
    return {chunk, static_cast<std::size_t>(n)};
}

result<void> rpc::call(const std::string& method, const google::protobuf::Message& request, google::protobuf::Message& response) {
    if (!connection_) connection_.emplace(to_);
    const auto body = request.SerializeAsString();
    std::string head = fmt::format("POST /ovation.v1.{} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/proto\r\nConnect-Protocol-Version: 1\r\nContent-Length: {}\r\n", method, to_.host, body.size());
    if (!token.empty()) head += "Authorization: Bearer " + token + "\r\n";
    try {
        connection_->send(head + "\r\n" + body);
        std::size_t end = std::string::npos;
        while ((end = rest_.find("\r\n\r\n")) == std::string::npos) {
            auto more = connection_->receive(60'000);
            if (more.empty()) throw std::runtime_error("The server does not answer.");
            rest_ += more;
        }
        const int status = std::stoi(rest_.substr(9, 3));
        const auto length_at = rest_.find("Content-Length: ");
        const auto length = static_cast<std::size_t>(std::stoul(rest_.substr(length_at + 16)));
        const bool keep = rest_.find("Connection: keep-alive") < end;
        while (rest_.size() < end + 4 + length) rest_ += connection_->receive(60'000);
        const auto answer = rest_.substr(end + 4, length);
        rest_.erase(0, end + 4 + length);
        if (!keep) connection_.reset();
        if (status != 200) return fault_of(status, answer);
        if (!response.ParseFromString(answer)) return internal_fault("the answer is not a message");
    } catch (...) {
        connection_.reset();
        rest_.clear();
        throw;
    }
    return result<void>{};
}

live::live(const address& to) : connection_(to) {
    std::array<std::uint8_t, 16> key{};
    crypto::random_bytes(key);
    connection_.send(fmt::format("GET /v1/live HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\nSec-WebSocket-Protocol: ovation.v1.proto\r\n\r\n",
                                 to.host, crypto::base64({reinterpret_cast<const char*>(key.data()), key.size()})));
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
        auto more = connection_.receive(10'000);
        if (more.empty()) throw std::runtime_error("The server does not answer the upgrade.");
        buffer_ += more;
    }
    if (!buffer_.starts_with("HTTP/1.1 101")) throw std::runtime_error("The server refused the WebSocket: " + buffer_.substr(0, buffer_.find('\r')));
    buffer_.erase(0, end + 4);
}

void live::send_raw(std::string_view payload) {
    std::array<std::uint8_t, 4> mask{};
    crypto::pooled_random_bytes(mask);
    auto frame = server::websocket::encode(server::websocket::opcode::binary, payload);
    const auto head = frame.size() - payload.size();
    frame[1] = static_cast<char>(static_cast<std::uint8_t>(frame[1]) | 0x80);
    for (std::size_t i = 0; i < payload.size(); ++i) frame[head + i] = static_cast<char>(static_cast<std::uint8_t>(frame[head + i]) ^ mask[i & 3]);
    frame.insert(head, reinterpret_cast<const char*>(mask.data()), mask.size());
    connection_.send(frame);
}
void live::send(const v1::ClientFrame& frame) { send_raw(frame.SerializeAsString()); }

bool live::unpack() {
    const auto left = std::string_view(buffer_).substr(read_);
    if (left.size() < 2) return false;
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(left[i]); };
    const int kind = byte(0) & 0x0f;
    std::size_t length = byte(1) & 0x7f, at = 2;
    if (length >= 126) {
        const std::size_t size = length == 126 ? 2 : 8;
        if (left.size() < 2 + size) return false;
        length = 0;
        for (std::size_t i = 0; i < size; ++i) length = length << 8 | byte(at++);
    }
    if (left.size() < at + length) return false;
    const auto payload = left.substr(at, length);
    read_ += at + length;
    if (kind == 8) throw closed{payload.size() >= 2 ? static_cast<std::uint8_t>(payload[0]) << 8 | static_cast<std::uint8_t>(payload[1]) : 1005, std::string(payload.substr(std::min<std::size_t>(payload.size(), 2)))};
    if (kind == 2) {
        ready_.emplace();
        if (!ready_->ParseFromArray(payload.data(), static_cast<int>(payload.size()))) throw std::runtime_error("The server sent something that is not a frame.");
    }
    return true;
}

std::optional<v1::ServerFrame> live::next(int timeout_ms) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    ready_.reset();
    for (bool first = true;; first = false) {
        while (unpack())
            if (ready_) return std::exchange(ready_, std::nullopt);
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
        if (left <= 0 && !first) return std::nullopt;
        buffer_.erase(0, std::exchange(read_, 0));
        buffer_ += connection_.receive(static_cast<int>(std::max<std::int64_t>(left, 0)));
    }
}

}  // namespace ovation::client
