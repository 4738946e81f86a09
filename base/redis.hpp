// Redis as a coroutine: hiredis formats and parses, Asio carries. One connection of one io_context, commands in order.
// Redis holds only what can be rebuilt: a failed command is never fatal, and the caller has another way.
#pragma once
#include <hiredis/hiredis.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/asio.hpp"
#include "base/fault.hpp"

namespace ovation::redis {

struct reply_deleter {
    void operator()(redisReply* r) const { freeReplyObject(r); }
};
using reply = std::unique_ptr<redisReply, reply_deleter>;

class client {
public:
    // `where`: "unix:/path/redis.sock" or "host:port"; empty: there is no Redis, and every command says so.
    client(asio::io_context& context, std::string where);
    ~client();
    client(const client&) = delete;
    client& operator=(const client&) = delete;

    [[nodiscard]] bool configured() const { return !where_.empty(); }
    // A refusal of Redis ("ERR …") is a fault too, with reason redis_refused; anything else is redis_lost.
    awaitable<result<reply>> command(std::vector<std::string> words, std::chrono::milliseconds limit = std::chrono::seconds(2));
    void close();

private:
    using socket = asio::basic_stream_socket<asio::generic::stream_protocol>;
    awaitable<result<void>> connect();
    awaitable<result<reply>> exchange(const std::vector<std::string>& words);
    fault lost(std::string_view what);

    asio::io_context& context_;
    std::string where_;
    socket socket_;
    asio::steady_timer timer_;
    std::unique_ptr<redisReader, void (*)(redisReader*)> reader_{nullptr, &redisReaderFree};
    bool busy_ = false;
    std::deque<std::shared_ptr<asio::steady_timer>> waiting_;
    std::uint64_t armed_ = 0;
    std::chrono::steady_clock::time_point not_before_{};
};

}  // namespace ovation::redis
