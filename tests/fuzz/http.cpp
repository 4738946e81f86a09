// Request heads and bodies without a socket: this file is the `transport` of the program. However the bytes come in, the
// requests are the same; what is taken leaves no doubt about where it ends.
#include "server/http.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/text.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {
std::string_view coming;
std::size_t piece = 1;
}  // namespace

namespace ovation::server {
transport::transport(asio::ip::tcp::socket socket, ssl_ptr ssl, sweeper& keeper) : socket_(std::move(socket)), ssl_(std::move(ssl)), keeper_(keeper) {}
transport::~transport() = default;
void transport::deadline_in(std::int64_t) {}
awaitable<bool> transport::write_all(std::string_view) { co_return true; }
awaitable<std::ptrdiff_t> transport::read_some(char* to, std::size_t size) {
    const auto got = coming.substr(0, std::min(size, piece)).copy(to, size);
    coming.remove_prefix(got);
    co_return static_cast<std::ptrdiff_t>(got);
}
}  // namespace ovation::server

using namespace ovation;
using namespace ovation::server;

namespace {
struct outcome {
    http_read last = http_read::closed;
    std::vector<http_request> requests;
};
awaitable<void> read_all(outcome& to, transport& from, std::size_t body_max) {
    http_reader reader(from);
    do {
        http_request r;
        to.last = co_await reader.next(r, [=](const http_request&) { return body_max; });
        if (to.last == http_read::request) to.requests.push_back(std::move(r));
    } while (to.last == http_read::request);
}
outcome run(std::string_view in, std::size_t cut, std::size_t body_max) {
    static asio::io_context context;
    static const system_clock_source clock;
    static sweeper keeper(context, clock);
    static transport from(asio::ip::tcp::socket(context), nullptr, keeper);
    coming = in;
    piece = cut;
    outcome o;
    asio::co_spawn(context, read_all(o, from, body_max), asio::detached);
    context.restart();
    context.run();
    return o;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto in = fuzz::bytes(data, size);
    const auto choice = fuzz::take(in);
    const std::size_t body_max = choice & 1 ? 1'000'000 : 64;
    const auto whole = run(in, std::string_view::npos, body_max);
    for (const std::size_t cut : {std::size_t{1}, choice / 2 + std::size_t{1}}) {
        const auto cut_up = run(in, cut, body_max);
        // Half a head may be seen to be wrong earlier or later; both ends close the connection.
        PROPERTY((cut_up.last == http_read::closed) == (whole.last == http_read::closed) && cut_up.requests.size() == whole.requests.size());
        for (std::size_t i = 0; i < whole.requests.size(); ++i) {
            const auto &a = whole.requests[i], &b = cut_up.requests[i];
            PROPERTY(a.method == b.method && a.target == b.target && a.headers == b.headers && a.body == b.body && a.keep_alive == b.keep_alive && a.version == b.version);
        }
    }
    for (const auto& r : whole.requests) {
        PROPERTY(r.version == 10 || r.version == 11);
        PROPERTY(!r.method.empty() && !r.target.empty() && r.body.size() <= body_max);
        PROPERTY(r.target.find_first_of(std::string_view(" \t\r\n\0", 5)) == std::string::npos && r.path.find('?') == std::string::npos);
        PROPERTY(r.version == 10 || r.headers.contains("host"));
        // Two ways to say how long the body is would let a proxy see another request than we do.
        if (r.headers.contains("transfer-encoding")) PROPERTY(r.version == 11 && lower(r.header("transfer-encoding")) == "chunked" && !r.headers.contains("content-length"));
        for (auto length = r.header("content-length"); !length.empty();) PROPERTY(std::stoull(std::string(text::trim(fuzz::take_until(length, ',')))) == r.body.size());
        for (const auto& [name, value] : r.headers) PROPERTY(lower(name) == name && value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
        (void)has_token(r.header("connection"), "upgrade");
        (void)parse_query(r.query);
    }

    std::string escaped;
    constexpr std::string_view digits = "0123456789abcdef";
    for (const char c : in) (escaped += '%') += {digits[static_cast<std::uint8_t>(c) >> 4], digits[static_cast<std::uint8_t>(c) & 15]};
    PROPERTY(percent_decode(escaped, true) == in);
    const auto query = parse_query(escaped + "=" + escaped);
    PROPERTY(query && query->size() == 1 && query->begin()->first == in && query->begin()->second == in);
    if (const auto plain = percent_decode(in, false)) PROPERTY(plain->size() <= in.size());
    if (const auto pairs = parse_query(in)) PROPERTY(pairs->size() <= in.size());
    return 0;
}
