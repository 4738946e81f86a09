// A small blocking client of our own wire, for bots, the command-line publisher, tests and benches. Binary protobuf.
#pragma once
#include <google/protobuf/message.h>

#include <memory>
#include <optional>
#include <string>

#include "base/fault.hpp"
#include "ovation/v1/live.pb.h"
#include "server/websocket.hpp"

struct ssl_st;  // OpenSSL's SSL

namespace ovation::client {

struct address {
    std::string host = "127.0.0.1";
    std::string port = "8080";
    bool tls = false;
    std::string ca = {};  // PEM file of who is trusted; empty: the system's
    // http[s]://host[:port]; throws with a sentence otherwise.
    static address parse(const std::string& url, std::string ca = {});
};

class stream {
public:
    explicit stream(const address& to);
    ~stream();
    stream(stream&& other) noexcept : fd_(std::exchange(other.fd_, -1)), tls_(std::move(other.tls_)) {}
    stream& operator=(stream&&) = delete;
    void send(std::string_view bytes) const;
    // Waits at most `timeout_ms`; empty: nothing came. Throws when the peer has closed.
    std::string receive(int timeout_ms) const;

private:
    void secure(const address& to);
    int fd_;
    std::unique_ptr<ssl_st, void (*)(ssl_st*)> tls_;  // null: plain TCP
};

// RPCs over one kept connection.
class rpc {
public:
    explicit rpc(address to) : to_(std::move(to)) {}
    std::string token;
    // "GiftService/SendGift". A refusal of the server is a fault; a broken connection throws.
    result<void> call(const std::string& method, const google::protobuf::Message& request, google::protobuf::Message& response);
    template <class Response>
    result<Response> call(const std::string& method, const google::protobuf::Message& request) {
        Response out;
        if (auto r = call(method, request, static_cast<google::protobuf::Message&>(out)); !r) return r.error();
        return out;
    }

private:
    address to_;
    std::optional<stream> connection_;
    std::string rest_;
};

// One live socket.
class live {
public:
    explicit live(const address& to);
    void send(const v1::ClientFrame& frame);
    void send_raw(std::string_view payload);
    // The next frame within the time; nullopt: none came. Throws `closed` when the server has closed.
    std::optional<v1::ServerFrame> next(int timeout_ms);
    struct closed {
        int code;
        std::string reason;
    };

private:
    bool unpack();
    stream connection_;
    std::string buffer_;
    std::size_t read_ = 0;  // of buffer_
    std::optional<v1::ServerFrame> ready_;
};

}  // namespace ovation::client
