// What an RPC handler sees: who calls (`caller`), the proof that the access rule held (`granted`), and the table in which
// each folder puts its handlers. The transport (server/) and the rules (identity/) meet here without knowing the folders.
#pragma once
#include <google/protobuf/message.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/asio.hpp"
#include "base/fault.hpp"
#include "base/ids.hpp"

namespace ovation {

// A set of ovation.v1.Role, bit n = role n.
class role_set {
public:
    constexpr role_set() = default;
    constexpr explicit role_set(std::uint32_t bits) : bits_(bits) {}
    [[nodiscard]] constexpr bool has(int role) const { return (bits_ >> role & 1u) != 0; }
    constexpr void add(int role) { bits_ |= 1u << role; }
    constexpr void remove(int role) { bits_ &= ~(1u << role); }
    [[nodiscard]] constexpr std::uint32_t bits() const { return bits_; }

private:
    std::uint32_t bits_ = 0;
};

struct caller {
    user_id user;        // 0: not logged in
    session_id session;
    role_set roles;
    std::string name;    // display name, for announcements
    std::string address; // the client's
    std::string client;  // User-Agent, cut
    std::int64_t deadline_ms = 0;  // steady clock; 0: none
};

class access_gate;  // identity/

// Only the access gate can make one: whoever holds it has passed the rule of the method.
class granted {
public:
    [[nodiscard]] const caller& who() const { return who_; }
    [[nodiscard]] user_id user() const { return who_.user; }

private:
    friend class access_gate;
    explicit granted(caller who) : who_(std::move(who)) {}
    caller who_;
};

using message_ptr = std::unique_ptr<google::protobuf::Message>;

// "/ovation.v1.GiftService/SendGift" → handler. Filled at start; read by all cores.
class rpc_table {
public:
    using handler = std::function<awaitable<result<message_ptr>>(granted, const google::protobuf::Message&)>;

    // Body: awaitable<result<Response>>(granted, Request).
    template <class Request, class Response, class Body>
    void add(const std::string& method, Body body) {
        insert(method, [body](granted who, const google::protobuf::Message& message) -> awaitable<result<message_ptr>> {
            return call<Request, Response>(body, std::move(who), static_cast<const Request&>(message));
        });
    }
    [[nodiscard]] const handler* find(const std::string& method) const;
    [[nodiscard]] const std::map<std::string, handler>& all() const { return handlers_; }

private:
    template <class Request, class Response, class Body>
    static awaitable<result<message_ptr>> call(Body body, granted who, Request message) {
        result<Response> out = co_await body(std::move(who), std::move(message));
        if (!out) co_return out.error();
        co_return message_ptr(std::make_unique<Response>(std::move(*out)));
    }
    void insert(const std::string& method, handler h);
    std::map<std::string, handler> handlers_;
};

// Binds a member coroutine as a handler: service->method(granted, Request).
template <class Request, class Response, class Service>
void bind_rpc(rpc_table& table, const std::string& method, Service& service, awaitable<result<Response>> (Service::*member)(granted, Request)) {
    table.add<Request, Response>(method, [&service, member](granted who, Request message) {
        return (service.*member)(std::move(who), std::move(message));
    });
}

}  // namespace ovation
