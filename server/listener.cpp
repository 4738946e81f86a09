#include "server/listener.hpp"

#include <openssl/err.h>
#include <spdlog/fmt/fmt.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "base/log.hpp"

namespace ovation::server {
namespace {
namespace fs = std::filesystem;

std::string openssl_error() {
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    return text;
}

const char* type_of(const fs::path& p) {
    static const std::map<std::string, const char*> types{{".html", "text/html; charset=utf-8"}, {".js", "text/javascript"}, {".css", "text/css"}, {".svg", "image/svg+xml"},
                                                          {".json", "application/json"},         {".png", "image/png"},     {".jpg", "image/jpeg"},    {".jpeg", "image/jpeg"},    {".webp", "image/webp"},
                                                              {".ico", "image/x-icon"}, {".wasm", "application/wasm"},
                                                          {".opus", "audio/ogg"}, {".m4a", "audio/mp4"},               {".webmanifest", "application/manifest+json"}, {".woff2", "font/woff2"}};
    const auto at = types.find(p.extension().string());
    return at == types.end() ? "application/octet-stream" : at->second;
}

struct byte_range {
    std::size_t first = 0, end = 0;  // end: one behind
};
constexpr std::size_t range_bytes_max = 1 << 20;
constexpr std::size_t tail_piece_bytes = 1 << 18;
// Players ask for pieces: one range of bytes (RFC 9110 section 14). What cannot be read as one is answered whole (nothing); one
// that lies outside is empty. A longer piece than a megabyte is answered in part, and the player asks again.
std::optional<byte_range> range_of(std::string_view asked, std::size_t size) {
    if (!asked.starts_with("bytes=") || asked.find(',') != std::string_view::npos) return std::nullopt;
    asked.remove_prefix(6);
    const auto dash = asked.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const auto number = [](std::string_view text) -> std::optional<std::size_t> {
        std::size_t out = 0;
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
        return failed == std::errc() && end == text.data() + text.size() ? std::optional(out) : std::nullopt;
    };
    const auto first = number(asked.substr(0, dash)), last = number(asked.substr(dash + 1));
    if (!first && !last) return std::nullopt;
    if (!first) return byte_range{size - std::min(*last, size), std::min(size, size - std::min(*last, size) + range_bytes_max)};
    if (*first >= size || (last && *last < *first)) return byte_range{};
    const auto end = std::min(last.value_or(size - 1), size - 1) + 1;
    return byte_range{*first, std::min(end, *first + range_bytes_max)};
}

std::string escape_html(std::string_view raw) {
    std::string out;
    for (const char c : raw) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            default: out += c;
        }
    }
    return out;
}
// The Open Graph card of a recording, for those who show links (https://ogp.me).
void put_card(std::string& page, const v1::Recording& of, const std::string& origin) {
    std::string singers;
    for (const auto& s : of.singers()) singers += (singers.empty() ? "" : ", ") + s.name();
    const auto title = fmt::format("{} · {}", of.title(), singers);
    std::string card;
    const auto add = [&](std::string_view property, std::string_view content) { card += fmt::format("<meta property=\"{}\" content=\"{}\" />\n    ", property, escape_html(content)); };
    add("og:type", "music.song");
    add("og:site_name", "Ovation");
    add("og:title", title);
    add("og:description", of.singers_size() > 0 && of.singers(0).points() > 0 ? fmt::format("{} · {} / 10 000", of.artist(), of.singers(0).points()) : of.artist());
    add("og:url", origin + "/r/" + of.token());
    add("og:image", origin + "/card.png");
    add("og:image:width", "1200");
    add("og:image:height", "630");
    add("og:audio", origin + of.m4a_url());
    add("og:audio:type", "audio/mp4");
    add("music:duration", std::to_string(of.duration_samples() / 48'000));
    card += "<meta name=\"twitter:card\" content=\"summary_large_image\" />\n    ";
    if (const auto at = page.find("<title>"); at != std::string::npos) {
        const auto end = page.find("</title>", at);
        page = page.substr(0, at) + card + "<title>" + escape_html(title) + page.substr(end);
    }
}

http_response not_allowed(const char* verbs) {
    auto r = plain_response(405, fmt::format("This takes {}.\n", verbs));
    r.headers.emplace_back("Allow", verbs);
    return r;
}

// A path below `root`, or nothing: no "..", no links out of it.
std::optional<fs::path> inside(const fs::path& root, std::string_view relative) {
    if (root.empty() || relative.find('\0') != std::string_view::npos) return std::nullopt;
    std::error_code failed;
    const auto base = fs::canonical(root, failed);
    if (failed) return std::nullopt;
    const auto asked = fs::canonical(base / fs::path(relative).relative_path(), failed);
    if (failed || !fs::is_regular_file(asked, failed)) return std::nullopt;
    const auto [end, at] = std::mismatch(base.begin(), base.end(), asked.begin(), asked.end());
    return end == base.end() ? std::optional(asked) : std::nullopt;
}
}  // namespace

listener::listener(listener_options options, listener_parts parts)
    : options_(std::move(options)),
      p_(std::move(parts)),
      connections_(p_.clock, limits::connections_per_address.times(options_.rate_factor)),
      open_(p_.registry.make_gauge("ovation_connections", "Open connections, HTTP and live.")),
      accepted_(p_.registry.make_counter("ovation_connections_total", "Connections accepted.")) {
    for (std::size_t i = 0; i < p_.all.count(); ++i) doors_.push_back({nullptr, std::make_unique<sweeper>(p_.all.at(i).context, p_.clock)});
}

std::vector<sweeper*> listener::sweepers() {
    std::vector<sweeper*> out;
    for (auto& d : doors_) out.push_back(d.keeper.get());
    return out;
}

ssl_context_ptr tls_of(const std::string& certificate, const std::string& key) {
    ssl_context_ptr out(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_set_min_proto_version(out.get(), TLS1_2_VERSION);
    SSL_CTX_set_mode(out.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(out.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    if (SSL_CTX_use_certificate_chain_file(out.get(), certificate.c_str()) != 1)
        throw std::runtime_error(fmt::format("tls_cert: cannot read {}: {}", certificate, openssl_error()));
    if (SSL_CTX_use_PrivateKey_file(out.get(), key.c_str(), SSL_FILETYPE_PEM) != 1)
        throw std::runtime_error(fmt::format("tls_key: cannot read {}: {}", key, openssl_error()));
    // HTTP/1.1 is what is spoken here; a browser must not try another one.
    SSL_CTX_set_alpn_select_cb(out.get(), [](SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* in, unsigned int in_size, void*) {
        static constexpr unsigned char ours[] = "\x08http/1.1";
        return SSL_select_next_proto(const_cast<unsigned char**>(chosen), size, ours, sizeof ours - 1, in, in_size) == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
    }, nullptr);
    return out;
}

void listener::open() {
    if (!options_.tls_cert.empty()) tls_ = tls_of(options_.tls_cert, options_.tls_key);
    error_code failed;
    const auto address = asio::ip::make_address(options_.address, failed);
    if (failed) throw std::runtime_error(fmt::format("address: {} is not an IP address.", options_.address));
    for (std::size_t i = 0; i < doors_.size(); ++i) {
        auto acceptor = std::make_unique<asio::ip::tcp::acceptor>(p_.all.at(i).context);
        const asio::ip::tcp::endpoint at(address, options_.port);
        acceptor->open(at.protocol(), failed);
        acceptor->set_option(asio::ip::tcp::acceptor::reuse_address(true), failed);
        // The first one binds alone: another program on the port is then noticed, as SO_REUSEPORT would hide our own twin.
        const int one = 1;
        if (i == 0) {
            asio::ip::tcp::acceptor probe(p_.all.at(i).context);
            probe.open(at.protocol(), failed);
            probe.set_option(asio::ip::tcp::acceptor::reuse_address(true), failed);
            if (options_.port != 0) probe.bind(at, failed);
            if (failed == asio::error::address_in_use)
                throw std::runtime_error(fmt::format("Port {} of {} is taken by another program. Stop that one, or choose another port with --port.", options_.port, options_.address));
        }
        setsockopt(acceptor->native_handle(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
        acceptor->bind(asio::ip::tcp::endpoint(address, options_.port), failed);
        if (!failed) acceptor->listen(1024, failed);
        if (failed)
            throw std::runtime_error(fmt::format("Cannot listen on {} port {}: {}. Choose another address with --address, or another port with --port.", options_.address, options_.port, failed.message()));
        if (options_.port == 0) options_.port = acceptor->local_endpoint().port();
        doors_[i].acceptor = std::move(acceptor);
    }
}

void listener::start() {
    for (std::size_t i = 0; i < doors_.size(); ++i) {
        auto& here = p_.all.at(i);
        asio::post(here.context, [this, &here] {
            here.tasks.spawn("sweeper", doors_[here.index].keeper->run());
            here.tasks.spawn("accept", accept(here));
        });
    }
}
void listener::stop_accepting() {
    stopping_ = true;
    for (std::size_t i = 0; i < doors_.size(); ++i)
        asio::post(p_.all.at(i).context, [this, i] {
            error_code ignored;
            if (doors_[i].acceptor) doors_[i].acceptor->close(ignored);
        });
}
void listener::close_idle() {
    for (std::size_t i = 0; i < doors_.size(); ++i)
        asio::post(p_.all.at(i).context, [this, i] {
            doors_[i].keeper->close_all();
            doors_[i].keeper->stop();
        });
}

awaitable<void> listener::accept(core& here) {
    auto& acceptor = *doors_[here.index].acceptor;
    while (!stopping_) {
        auto [failed, socket] = co_await acceptor.async_accept(use_tuple);
        if (failed == asio::error::operation_aborted || stopping_) break;
        if (failed) {  // out of descriptors: wait for some to close
            log::warn("server", "accept_failed", "err={}", log::quoted(failed.message()));
            asio::steady_timer pause(here.context, std::chrono::milliseconds(100));
            co_await pause.async_wait(use_tuple);
            continue;
        }
        error_code gone;
        const auto peer = socket.remote_endpoint(gone);
        if (gone) continue;
        const auto address = peer.address().to_string();
        // Behind a proxy all come from one address; the proxy keeps the count then.
        if (std::ranges::find(options_.trusted_proxies, address) == options_.trusted_proxies.end() && connections_.take(address) > 0) continue;
        accepted_.add();
        here.tasks.spawn("connection", serve(here, std::move(socket), address));
    }
}

std::string listener::client_address(const http_request& request, const std::string& peer) const {
    if (std::ranges::find(options_.trusted_proxies, peer) == options_.trusted_proxies.end()) return peer;
    // The last hop that our own proxy saw.
    const auto forwarded = request.header("x-forwarded-for");
    const auto cut = forwarded.rfind(',');
    const auto last = text::trim(cut == std::string_view::npos ? forwarded : forwarded.substr(cut + 1));
    return last.empty() ? peer : std::string(last);
}

bool listener::origin_allowed(const http_request& request) const {
    const auto origin = request.header("origin");
    if (origin.empty()) return true;  // not a browser
    if (std::ranges::find(options_.allowed_origins, origin) != options_.allowed_origins.end()) return true;
    const auto scheme = origin.find("://");
    return scheme != std::string_view::npos && origin.substr(scheme + 3) == request.header("host");
}

awaitable<void> listener::serve(core& here, asio::ip::tcp::socket socket, std::string peer) {
    struct counted {
        gauge& g;
        explicit counted(gauge& one) : g(one) { g.add(1); }
        ~counted() { g.add(-1); }
    } counting(open_);
    ssl_ptr ssl(tls_ ? SSL_new(tls_.get()) : nullptr);
    auto connection = std::make_unique<transport>(std::move(socket), std::move(ssl), *doors_[here.index].keeper);
    connection->deadline_in(limits::handshake_deadline_ms);
    if (!co_await connection->handshake()) co_return;
    http_reader reader(*connection);
    while (!stopping_) {
        http_request request;
        const auto read = co_await reader.next(request, [this](const http_request& head) { return p_.rpc.body_max(head); });
        if (read == http_read::closed || read == http_read::broken) co_return;
        if (read != http_read::request) {
            auto r = plain_response(read == http_read::bad ? 400 : read == http_read::header_too_big ? 431 : 413,
                           read == http_read::bad ? "This is not HTTP/1.1.\n" : read == http_read::header_too_big ? "The headers are too long.\n" : "The body is too long.\n");
            if (co_await connection->write_all(write_head(r, false, false))) co_await connection->finish();
            co_return;
        }
        co_await connection->turn();  // pipelined requests come without waiting
        request.address = client_address(request, peer);
        connection->deadline_in(0);
        if (request.path == "/v1/live") {
            connection->deadline_in(limits::handshake_deadline_ms);
            if (co_await upgrade(request, reader, connection)) co_return;
            continue;
        }
        auto response = co_await answer(request);
        if (origin_allowed(request) && !request.header("origin").empty()) {
            response.headers.emplace_back("Access-Control-Allow-Origin", std::string(request.header("origin")));
            response.headers.emplace_back("Access-Control-Expose-Headers", "Retry-After");
        }
        const bool keep = request.keep_alive && !response.close && !stopping_;
        connection->deadline_in(limits::idle_without_ping_ms);
        if (!co_await connection->write_all(write_head(response, keep, request.method == "HEAD"))) co_return;
        std::string piece;
        while (request.method != "HEAD" && response.tail_bytes > 0) {
            piece.resize(std::min(response.tail_bytes, tail_piece_bytes));
            response.tail->read(piece.data(), static_cast<std::streamsize>(piece.size()));
            // A file that has become shorter: only closing tells.
            if (response.tail->gcount() != static_cast<std::streamsize>(piece.size())) co_return;
            response.tail_bytes -= piece.size();
            connection->deadline_in(limits::idle_without_ping_ms);
            if (!co_await connection->write_all(piece)) co_return;
        }
        if (!keep) co_return;
        connection->deadline_in(limits::http_keep_alive_ms);
    }
}

awaitable<bool> listener::upgrade(http_request& request, http_reader& reader, std::unique_ptr<transport>& connection) {
    http_response refused;
    std::optional<rooms::encoding> wire;
    std::string chosen;
    std::string_view offered = request.header("sec-websocket-protocol");
    while (!offered.empty() && !wire) {
        const auto cut = offered.find(',');
        const auto one = text::trim(offered.substr(0, cut));
        offered.remove_prefix(cut == std::string_view::npos ? offered.size() : cut + 1);
        if (one == "ovation.v1.proto") wire = rooms::encoding::proto;
        if (one == "ovation.v1.json") wire = rooms::encoding::json;
        if (wire) chosen = one;
    }
    if (request.method != "GET" || request.version < 11 || !has_token(request.header("upgrade"), "websocket") || !has_token(request.header("connection"), "upgrade")) {
        refused = plain_response(426, "This is the live wire: a WebSocket.\n");
        refused.headers.emplace_back("Upgrade", "websocket");
    } else if (request.header("sec-websocket-version") != "13") {
        refused = plain_response(426, "WebSocket version 13 is what is spoken here.\n");
        refused.headers.emplace_back("Sec-WebSocket-Version", "13");
    } else if (!websocket::valid_key(request.header("sec-websocket-key"))) {
        refused = plain_response(400, "Sec-WebSocket-Key must be 16 bytes in base64.\n");
    } else if (!origin_allowed(request)) {
        refused = plain_response(403, "This origin is not allowed. The operator can add it to allowed_origins.\n");
    } else if (!wire) {
        refused = plain_response(400, "Offer the subprotocol ovation.v1.proto or ovation.v1.json.\n");
    }
    if (!wire || refused.status != 200) {
        const bool keep = request.keep_alive && refused.status != 426;
        co_return !co_await connection->write_all(write_head(refused, keep, false)) || !keep;
    }
    http_response switching;
    switching.status = 101;
    switching.type.clear();
    switching.headers = {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Accept", websocket::accept_for(request.header("sec-websocket-key"))}, {"Sec-WebSocket-Protocol", chosen}};
    if (co_await connection->write_all(write_head(switching, true, false)))
        co_await run_live(p_.live, std::move(connection), reader.take_rest(), *wire, request.address);
    co_return true;
}

awaitable<http_response> listener::answer(const http_request& request) {
    if (request.method == "OPTIONS") {
        auto r = plain_response(origin_allowed(request) ? 204 : 403, "");
        if (r.status == 204) {
            r.headers = {{"Access-Control-Allow-Methods", "GET, POST"}, {"Access-Control-Allow-Headers", "content-type, connect-protocol-version, connect-timeout-ms, authorization"}, {"Access-Control-Max-Age", "7200"}, {"Vary", "Origin"}};
        }
        co_return r;
    }
    if (auto rpc = co_await p_.rpc.handle(request)) co_return std::move(*rpc);
    if (request.path.starts_with("/webhooks/")) {
        if (request.method != "POST") co_return not_allowed("POST");
        if (request.body.size() > limits::webhook_body_bytes_max) co_return plain_response(413, "The body is too long.\n");
        auto done = co_await p_.payments.notified(request.path.substr(10), [&](const std::string& name) { return request.header(name); }, request.body);
        co_return done ? plain_response(200, std::string(*done)) : error_response(done.error());
    }
    if (request.method != "GET" && request.method != "HEAD") {
        // A path that is not there is not there for any verb.
        const bool known = request.path.starts_with("/media/") || request.path.starts_with("/seals/") || request.path == "/healthz" || request.path == "/readyz" || request.path == "/metrics" || file(request, false).status == 200;
        co_return known ? not_allowed("GET, HEAD") : plain_response(404, "There is nothing here.\n");
    }
    if (request.path == "/healthz") co_return plain_response(200, "ok\n");
    if (request.path == "/readyz") {
        std::string text;
        bool ready = !stopping_;
        for (const auto& [name, good] : co_await p_.readiness()) {
            text += fmt::format("{} {}\n", name, good ? "ok" : "failing");
            ready = ready && good;
        }
        co_return plain_response(ready ? 200 : 503, text);
    }
    if (request.path == "/metrics") {
        auto r = plain_response(200, p_.registry.text());
        r.type = "text/plain; version=0.0.4; charset=utf-8";
        co_return r;
    }
    auto page = file(request, true);
    if (request.path.starts_with("/r/") && page.status == 200 && page.type.starts_with("text/html"))
        if (const auto of = co_await p_.kept.published(request.path.substr(3))) put_card(page.body, *of, fmt::format("{}://{}", options_.tls_cert.empty() ? "http" : "https", request.header("host")));
    co_return page;
}

http_response listener::file(const http_request& request, bool pages_too) {
    const auto asked = request.header("range");
    const auto path = percent_decode(request.path, false);
    if (!path) return plain_response(400, "The path cannot be read.\n");
    std::optional<fs::path> found;
    bool fingerprinted = false;
    bool sound = true;
    if (path->starts_with("/media/")) found = inside(options_.media_root, path->substr(7));
    else if (path->starts_with("/recordings/") && fs::path(*path).has_extension()) found = inside(options_.shared_root, path->substr(12));
    else if (path->starts_with("/seals/")) {
        sound = false;
        if (!options_.seal_folder.empty()) found = inside(options_.seal_folder, path->substr(7));
        // A full tile never changes; a checkpoint does.
        fingerprinted = path->starts_with("/seals/tile/") && path->find(".p/") == path->npos;
    } else {
        sound = false;
        found = inside(options_.web_root, *path);
        fingerprinted = path->starts_with("/assets/");
        // Pages have paths of their own: /room/7 is index.html's business.
        if (!found && pages_too && fs::path(*path).extension().empty()) found = inside(options_.web_root, "index.html");
    }
    if (!found) return plain_response(404, "There is nothing here.\n");
    auto opened = std::make_shared<std::ifstream>(*found, std::ios::binary);
    auto& in = *opened;
    http_response r;
    r.type = type_of(*found);
    std::error_code unreadable;
    const auto size = sound ? static_cast<std::size_t>(fs::file_size(*found, unreadable)) : 0;
    const auto piece = sound && !unreadable ? range_of(asked, size) : std::nullopt;
    if (sound) r.headers.emplace_back("Accept-Ranges", "bytes");
    if (piece && piece->first >= piece->end) {
        r.status = 416;
        r.headers.emplace_back("Content-Range", fmt::format("bytes */{}", size));
    } else if (piece) {
        r.status = 206;
        r.headers.emplace_back("Content-Range", fmt::format("bytes {}-{}/{}", piece->first, piece->end - 1, size));
        r.body.resize(piece->end - piece->first);
        in.seekg(static_cast<std::streamoff>(piece->first));
        in.read(r.body.data(), static_cast<std::streamsize>(r.body.size()));
        r.body.resize(static_cast<std::size_t>(in.gcount()));
    } else if (sound && !unreadable) {
        r.tail = std::move(opened);
        r.tail_bytes = size;
    } else {
        std::ostringstream bytes;
        bytes << in.rdbuf();
        r.body = std::move(bytes).str();
    }
    auto& headers = r.headers;
    for (auto& h : std::vector<std::pair<std::string, std::string>>{{"Cache-Control", fingerprinted ? "public, max-age=31536000, immutable" : "no-cache"},
                 {"X-Content-Type-Options", "nosniff"},
                 {"Referrer-Policy", "same-origin"},
                 {"Content-Security-Policy", "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self' 'unsafe-inline'; media-src 'self' blob:; worker-src 'self' blob:; frame-ancestors 'none'"}})
        headers.push_back(std::move(h));
    return r;
}

}  // namespace ovation::server
