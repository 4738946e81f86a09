// client::rpc waits a minute for an answer; this one waits as long as its owner says, as a person's app would.
#pragma once
#include <boost/json/parse.hpp>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/crypto.hpp"
#include "ovation/v1/access.pb.h"
#include "server/client.hpp"

namespace ovation::fault_test {

class caller {
public:
    explicit caller(client::address to) : to_(std::move(to)) {}
    std::string token;
    std::chrono::milliseconds limit{60'000};

    // Throws when no answer came: then nobody knows.
    template <class Response>
    result<Response> call(const std::string& method, const google::protobuf::Message& request) {
        try {
            const auto [status, body] = exchange(method, request.SerializeAsString());
            if (status != 200) return fault_of(status, body);
            Response out;
            if (!out.ParseFromString(body)) throw std::runtime_error("the answer is not a message");
            return out;
        } catch (...) {
            connection_.reset();
            throw;
        }
    }

private:
    std::pair<int, std::string> exchange(const std::string& method, const std::string& body) {
        if (!connection_) connection_.emplace(to_);
        std::string head = "POST /ovation.v1." + method + " HTTP/1.1\r\nHost: " + to_.host + "\r\nContent-Type: application/proto\r\nConnect-Protocol-Version: 1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
        if (!token.empty()) head += "Authorization: Bearer " + token + "\r\n";
        connection_->send(head + "\r\n" + body);
        const auto until = std::chrono::steady_clock::now() + limit;
        std::string got;
        const auto more = [&] {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
            auto piece = left > 0 ? connection_->receive(static_cast<int>(left)) : std::string();
            if (piece.empty()) throw std::runtime_error("no answer in time");
            got += piece;
        };
        std::size_t end = 0;
        while ((end = got.find("\r\n\r\n")) == std::string::npos) more();
        const int status = std::stoi(got.substr(9, 3));
        const auto length = static_cast<std::size_t>(std::stoul(got.substr(got.find("Content-Length: ") + 16)));
        const bool keep = got.find("Connection: keep-alive") < end;
        while (got.size() < end + 4 + length) more();
        if (!keep) connection_.reset();
        return {status, got.substr(end + 4, length)};
    }
    static fault fault_of(int status, const std::string& body) {
        fault f;
        f.kind = status == 401 ? code::unauthenticated : status >= 500 ? code::internal : code::unknown;
        f.message = "HTTP " + std::to_string(status);
        boost::system::error_code bad;
        const auto json = boost::json::parse(body, bad);
        if (bad || !json.is_object()) return f;
        const auto& o = json.get_object();
        if (const auto* m = o.if_contains("message"); m && m->is_string()) f.message = m->get_string().c_str();
        const auto* d = o.if_contains("details");
        if (!d || !d->is_array() || d->get_array().empty()) return f;
        std::string value = d->get_array()[0].get_object().at("value").get_string().c_str();
        while (value.size() % 4) value += '=';
        v1::ErrorDetail detail;
        if (const auto bytes = crypto::from_base64(value); bytes && detail.ParseFromString(*bytes)) {
            f.reason = detail.reason();
            f.retryable = detail.retryable();
        }
        return f;
    }
    client::address to_;
    std::optional<client::stream> connection_;
};

}  // namespace ovation::fault_test
