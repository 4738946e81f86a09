// The Connect protocol, unary (connectrpc.com/docs/protocol; checklist in docs/wire.md): one HTTP request to one handler.
#pragma once
#include "base/clock.hpp"
#include "base/metrics.hpp"
#include "identity/access_gate.hpp"
#include "identity/service.hpp"
#include "server/http.hpp"

namespace ovation::server {

class connect_router {
public:
    struct parts {
        const rpc_table& table;
        const access_gate& gate;
        const identity::service& people;
        const clock_source& clock;
        metrics& registry;
        const std::vector<std::string>& allowed_origins;
        // Another server of the house, by `authorization: Node …` over this body.
        std::function<result<caller>(std::string_view authorization, std::string_view body)> admit_node;
    };
    // Throws when an RPC of the .proto has no handler, a handler no RPC, or a rule no resolver.
    explicit connect_router(parts p);

    // nullopt: the path is not of the form /<package.Service>/<Method>.
    awaitable<std::optional<http_response>> handle(const http_request& request);

    // Bytes that the body of this request may have.
    [[nodiscard]] std::size_t body_max(const http_request& head) const;

private:
    struct method {
        const google::protobuf::MethodDescriptor* descriptor;
        const rpc_table::handler* handler;
        v1::Access rule;
        counter* ok;
        counter* failed;
        histogram* seconds;
    };
    awaitable<http_response> call(const method& m, const http_request& request);
    awaitable<result<message_ptr>> run(const method& m, const http_request& request, bool json, std::string body);
    parts p_;
    std::map<std::string, method> methods_;
};

// Strict where protobuf's own parser is lax: duplicate keys, depth, bad UTF-8.
result<void> check_json(std::string_view text);
http_response error_response(const fault& f);

}  // namespace ovation::server
