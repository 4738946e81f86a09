#include "base/redis.hpp"

#include <spdlog/fmt/fmt.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

namespace ovation::redis {
namespace {
constexpr std::string_view unix_prefix = "unix:";
constexpr auto again_after = std::chrono::seconds(1);
}  // namespace

client::client(asio::io_context& context, std::string where) : context_(context), where_(std::move(where)), socket_(context), timer_(context) {}
client::~client() { close(); }

void client::close() {
    error_code ignored;
    socket_.close(ignored);
    reader_.reset();
}

fault client::lost(std::string_view what) {
    close();
    not_before_ = std::chrono::steady_clock::now() + again_after;
    return unavailable("redis_lost", fmt::format("Redis at {}: {}.", where_, what));
}

awaitable<result<void>> client::connect() {
    if (std::chrono::steady_clock::now() < not_before_) co_return unavailable("redis_lost", "Redis did not answer a moment ago.");
    asio::generic::stream_protocol::endpoint target;
    if (where_.starts_with(unix_prefix)) {
        target = asio::local::stream_protocol::endpoint(where_.substr(unix_prefix.size()));
    } else {
        const auto colon = where_.rfind(':');
        if (colon == std::string::npos) co_return lost("write host:port or unix:/path");
        asio::ip::tcp::resolver resolver(context_);
        auto [failed, found] = co_await resolver.async_resolve(where_.substr(0, colon), where_.substr(colon + 1), use_tuple);
        if (failed || found.empty()) co_return lost(failed.message());
        target = found.begin()->endpoint();
    }
    auto [failed] = co_await socket_.async_connect(target, use_tuple);
    if (failed) co_return lost(failed.message());
    reader_.reset(redisReaderCreate());
    co_return result<void>{};
}

awaitable<result<reply>> client::exchange(const std::vector<std::string>& words) {
    if (!socket_.is_open()) OVATION_CO_CHECK(co_await connect());
    std::vector<const char*> pointers;
    std::vector<std::size_t> lengths;
    for (const auto& w : words) {
        pointers.push_back(w.data());
        lengths.push_back(w.size());
    }
    char* raw = nullptr;
    const auto size = redisFormatCommandArgv(&raw, static_cast<int>(words.size()), pointers.data(), lengths.data());
    if (size < 0) co_return lost("the command could not be written");
    const std::unique_ptr<char, void (*)(char*)> bytes(raw, [](char* p) { redisFreeCommand(p); });
    auto [unsent, sent] = co_await asio::async_write(socket_, asio::buffer(raw, static_cast<std::size_t>(size)), use_tuple);
    if (unsent) co_return lost(unsent.message());
    std::array<char, 16 * 1024> in{};
    while (true) {
        void* out = nullptr;
        if (!reader_ || redisReaderGetReply(reader_.get(), &out) != REDIS_OK) co_return lost("the answer is not RESP");
        if (out) {
            reply r(static_cast<redisReply*>(out));
            if (r->type == REDIS_REPLY_ERROR) co_return precondition("redis_refused", fmt::format("Redis: {}", std::string_view(r->str, r->len)));
            co_return r;
        }
        auto [failed, got] = co_await socket_.async_read_some(asio::buffer(in), use_tuple);
        if (failed || !reader_) co_return lost(failed.message());
        redisReaderFeed(reader_.get(), in.data(), got);
    }
}

awaitable<result<reply>> client::command(std::vector<std::string> words, std::chrono::milliseconds limit) {
    if (!configured()) co_return unavailable("redis_absent", "No Redis is configured.");
    if (busy_) {
        auto turn = std::make_shared<asio::steady_timer>(context_, asio::steady_timer::time_point::max());
        waiting_.push_back(turn);
        co_await turn->async_wait(use_tuple);
    }
    busy_ = true;
    timer_.expires_after(limit);
    timer_.async_wait([this, round = ++armed_](error_code stopped) {
        if (stopped || round != armed_) return;
        error_code ignored;
        socket_.close(ignored);
    });
    auto out = co_await exchange(words);
    ++armed_;
    timer_.cancel();
    if (waiting_.empty()) {
        busy_ = false;
    } else {
        // The next in line keeps `busy_` set: nobody slips in between.
        waiting_.front()->cancel();
        waiting_.pop_front();
    }
    co_return out;
}

}  // namespace ovation::redis
