#include "server/connect.hpp"

#include <google/protobuf/util/json_util.h>
#include <spdlog/fmt/fmt.h>
#include <zlib.h>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <charconv>
#include <set>

#include "base/crypto.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "base/log.hpp"
#include "ovation/v1/case.pb.h"
#include "ovation/v1/channel.pb.h"
#include "ovation/v1/gift.pb.h"
#include "ovation/v1/ledger.pb.h"
#include "ovation/v1/node.pb.h"
#include "ovation/v1/ops.pb.h"
#include "ovation/v1/payment.pb.h"
#include "ovation/v1/payout.pb.h"
#include "ovation/v1/room.pb.h"
#include "ovation/v1/recording.pb.h"
#include "ovation/v1/song.pb.h"

namespace ovation::server {
namespace {
namespace json = boost::json;
using google::protobuf::util::JsonParseOptions;
using google::protobuf::util::JsonPrintOptions;

constexpr std::size_t gzip_from_bytes = 1024;

// Sees every key of every object once.
struct key_watcher {
    static constexpr std::size_t max_object_size = SIZE_MAX, max_array_size = SIZE_MAX, max_key_size = 1024, max_string_size = SIZE_MAX;
    std::vector<std::set<std::string>> open;  // ordered: keys can be chosen to meet in one bucket
    std::string key;
    std::string duplicate;

    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }
    bool on_array_begin(json::error_code&) { return true; }
    bool on_array_end(std::size_t, json::error_code&) { return true; }
    bool on_object_begin(json::error_code&) {
        open.emplace_back();
        return true;
    }
    bool on_object_end(std::size_t, json::error_code&) {
        open.pop_back();
        return true;
    }
    bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_string(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
        key.append(part.data(), part.size());
        return true;
    }
    bool on_key(json::string_view part, std::size_t, json::error_code& failed) {
        key.append(part.data(), part.size());
        // song_id and songId are one field.
        std::string folded;
        bool up = false;
        for (const char c : key) {
            if (c == '_') up = true;
            else folded += std::exchange(up, false) && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        }
        const bool fresh = open.back().insert(folded).second;
        if (!fresh) {
            duplicate = key;
            failed = json::error::extra_data;
        }
        key.clear();
        return fresh;
    }
    bool on_number_part(json::string_view, json::error_code&) { return true; }
    bool on_int64(std::int64_t, json::string_view, json::error_code&) { return true; }
    bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return true; }
    bool on_double(double, json::string_view, json::error_code&) { return true; }
    bool on_bool(bool, json::error_code&) { return true; }
    bool on_null(json::error_code&) { return true; }
    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }
};

// Deflated at most `max` bytes; nullopt: broken, or more.
std::optional<std::string> gunzip(std::string_view in, std::size_t max) {
    z_stream z{};
    if (inflateInit2(&z, 15 + 16) != Z_OK) return std::nullopt;
    std::string out;
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    z.avail_in = static_cast<uInt>(in.size());
    int state = Z_OK;
    char part[16 * 1024];
    while (state == Z_OK && out.size() <= max) {
        z.next_out = reinterpret_cast<Bytef*>(part);
        z.avail_out = sizeof part;
        state = inflate(&z, Z_NO_FLUSH);
        out.append(part, sizeof part - z.avail_out);
        if (state == Z_BUF_ERROR) break;
    }
    const bool more_behind = z.avail_in != 0;
    inflateEnd(&z);
    if (more_behind || state != Z_STREAM_END || out.size() > max) return std::nullopt;
    return out;
}
std::string gzip(std::string_view in) {
    z_stream z{};
    deflateInit2(&z, 5, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    std::string out(deflateBound(&z, static_cast<uLong>(in.size())), '\0');
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    z.avail_in = static_cast<uInt>(in.size());
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    deflate(&z, Z_FINISH);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
}

std::string media_type(std::string_view content_type) { return lower(text::trim(content_type.substr(0, content_type.find(';')))); }

bool valid_path(std::string_view path) {
    const auto slash = path.rfind('/');
    return path.starts_with("/ovation.") && slash != 0 && slash != std::string_view::npos && slash + 1 < path.size();
}
// The token itself, unless its weight is 0.
bool accepts_gzip(const http_request& r) {
    auto list = r.header("accept-encoding");
    while (!list.empty()) {
        const auto cut = list.find(',');
        const auto one = list.substr(0, cut);
        list.remove_prefix(cut == std::string_view::npos ? list.size() : cut + 1);
        const auto semicolon = one.find(';');
        if (lower(text::trim(one.substr(0, semicolon))) != "gzip") continue;
        const auto weight = semicolon == std::string_view::npos ? std::string() : lower(text::trim(one.substr(semicolon + 1)));
        return !(weight.starts_with("q=0") && weight.find_first_of("123456789") == std::string::npos);
    }
    return false;
}
}  // namespace

result<void> check_json(std::string_view text) {
    json::parse_options options;
    options.max_depth = limits::json_depth_max;
    json::basic_parser<key_watcher> parser(options);
    json::error_code failed;
    const auto used = parser.write_some(false, text.data(), text.size(), failed);
    if (!parser.handler().duplicate.empty()) return invalid(parser.handler().duplicate, "stands twice in one JSON object.");
    if (failed == json::error::too_deep) return invalid("", fmt::format("The JSON is deeper than {} levels.", limits::json_depth_max));
    if (failed) return invalid("", "The body is not valid JSON: " + failed.message() + ".");
    if (text.substr(used).find_first_not_of(" \t\r\n") != std::string_view::npos) return invalid("", "Something follows the JSON object.");
    return result<void>{};
}

http_response error_response(const fault& f) {
    v1::ErrorDetail detail;
    detail.set_reason(f.reason);
    detail.set_retryable(f.retryable);
    detail.set_retry_after_ms(f.retry_after_ms);
    if (pg::sqlstate(f).empty()) detail.set_field(f.field);
    http_response r;
    r.status = http_status(f.kind);
    r.type = "application/json";
    const std::string message = f.told();
    r.body = fmt::format(R"({{"code":"{}","message":{},"details":[{{"type":"ovation.v1.ErrorDetail","value":"{}"}}]}})", code_name(f.kind), json::serialize(json::string(message)),
                         crypto::base64_unpadded(detail.SerializeAsString()));
    if (f.retry_after_ms > 0) r.headers.emplace_back("Retry-After", std::to_string((f.retry_after_ms + 999) / 1000));
    return r;
}

connect_router::connect_router(parts p) : p_(p) {
    const google::protobuf::FileDescriptor* files[] = {
        v1::RegisterRequest::descriptor()->file(), v1::Channel::descriptor()->file(), v1::Gift::descriptor()->file(), v1::Posting::descriptor()->file(),
        v1::TopUp::descriptor()->file(),           v1::Room::descriptor()->file(),    v1::Song::descriptor()->file(), v1::Recording::descriptor()->file(), v1::AuditRow::descriptor()->file(), v1::Payout::descriptor()->file(), v1::Case::descriptor()->file(), v1::ForwardedGift::descriptor()->file()};
    auto& seconds = p_.registry.make_histogram("ovation_rpc_seconds", "One RPC, request read to answer made.");
    for (const auto* file : files)
        for (int s = 0; s < file->service_count(); ++s)
            for (int m = 0; m < file->service(s)->method_count(); ++m) {
                const auto* d = file->service(s)->method(m);
                const auto path = "/" + d->service()->full_name() + "/" + d->name();
                const auto* h = p_.table.find(path);
                if (!h) throw std::logic_error("no handler for " + path);
                const auto& rule = d->options().GetExtension(v1::access);
                p_.gate.require_resolver(path, rule);
                methods_[path] = {d, h, rule, &p_.registry.make_counter(fmt::format("ovation_rpc_total{{method=\"{}\",outcome=\"ok\"}}", d->name()), "RPCs answered."),
                                  &p_.registry.make_counter(fmt::format("ovation_rpc_total{{method=\"{}\",outcome=\"refused\"}}", d->name()), "RPCs answered."), &seconds};
            }
    for (const auto& [path, h] : p_.table.all())
        if (!methods_.contains(path)) throw std::logic_error("a handler without an RPC: " + path);
}

awaitable<std::optional<http_response>> connect_router::handle(const http_request& request) {
    if (!valid_path(request.path)) co_return std::nullopt;
    const auto at = methods_.find(request.path);
    if (at == methods_.end()) co_return plain_response(404, "There is no such RPC.\n");
    const auto started = p_.clock.steady_ms();
    auto response = co_await call(at->second, request);
    at->second.seconds->observe(static_cast<double>(p_.clock.steady_ms() - started) / 1000.0);
    (response.status == 200 ? at->second.ok : at->second.failed)->add();
    if (accepts_gzip(request) && response.body.size() >= gzip_from_bytes) {
        response.body = gzip(response.body);
        response.headers.emplace_back("Content-Encoding", "gzip");
    }
    response.headers.emplace_back("Vary", "Origin, Accept-Encoding");
    co_return response;
}

std::size_t connect_router::body_max(const http_request& head) const {
    const auto at = methods_.find(head.path);
    const auto authorization = head.header("authorization");
    if (at == methods_.end() || !at->second.rule.file() || !authorization.starts_with("Bearer ")) return limits::rpc_body_bytes_max;
    const auto who = p_.people.authenticate(authorization.substr(7));
    return who && access_gate::check_roles(at->second.rule, *who) ? limits::rpc_file_bytes_max : limits::rpc_body_bytes_max;
}

awaitable<http_response> connect_router::call(const method& m, const http_request& request) {
    const bool get = request.method == "GET";
    if (request.method != "POST" && !(get && m.rule.safe())) {
        auto r = plain_response(405, "POST is what this RPC takes.\n");
        r.headers.emplace_back("Allow", m.rule.safe() ? "GET, POST" : "POST");
        co_return r;
    }
    const auto parsed = get ? parse_query(request.query) : std::map<std::string, std::string>{};
    if (!parsed) co_return error_response(invalid("", "The query cannot be decoded."));
    const auto& query = *parsed;
    const auto ask = [&](const char* name) -> std::string {
        const auto at = query.find(name);
        return at == query.end() ? std::string() : at->second;
    };
    bool as_json = false;
    std::string body;
    std::string compression;
    if (get) {
        compression = ask("compression");
        const auto encoding = ask("encoding");
        if (encoding != "json" && encoding != "proto") co_return plain_response(415, "encoding: json or proto.\n");
        as_json = encoding == "json";
        if (const auto v = ask("connect"); !v.empty() && v != "v1") co_return error_response(invalid("connect", "the only version is v1."));
        body = ask("message");
        if (ask("base64") == "1") {
            auto bytes = crypto::from_base64url(body);
            if (!bytes) co_return error_response(invalid("message", "is not base64url."));
            body = std::move(*bytes);
        }
        if (as_json && body.empty() && compression.empty()) body = "{}";
    } else {
        const auto type = media_type(request.header("content-type"));
        if (type == "application/json") as_json = true;
        else if (type != "application/proto") co_return plain_response(415, "application/json or application/proto.\n");
        const auto version = request.header("connect-protocol-version");
        if (!version.empty() && version != "1") co_return error_response(invalid("connect-protocol-version", "the only version is 1."));
        // It forces a preflight: no page of another origin can change something without one.
        const bool browser = !request.header("origin").empty() || !request.header("sec-fetch-site").empty();
        if (browser && !m.rule.safe() && version.empty()) co_return error_response(invalid("connect-protocol-version", "a page must send it."));
        body = request.body;
        compression = request.header("content-encoding");
    }
    if (!compression.empty() && compression != "identity") {
        if (compression != "gzip") {
            fault f = invalid("content-encoding", "this compression is not supported; gzip is.");
            f.kind = code::unimplemented;
            auto r = error_response(f);
            r.headers.emplace_back("Accept-Encoding", "gzip");
            co_return r;
        }
        const auto most = body_max(request);
        auto plain_body = gunzip(body, most);
        if (!plain_body) co_return error_response(invalid("content-encoding", fmt::format("this is not gzip, or more than {} bytes.", most)));
        body = std::move(*plain_body);
    }
    auto out = co_await run(m, request, as_json, std::move(body));
    if (!out) {
        if (out.error().kind == code::internal) log::error("rpc", "failed", "method={} err={}", m.descriptor->full_name(), log::quoted(out.error().message));
        co_return error_response(out.error());
    }
    http_response r;
    if (as_json) {
        r.type = "application/json";
        JsonPrintOptions options;
        options.always_print_primitive_fields = false;
        if (!google::protobuf::util::MessageToJsonString(**out, &r.body, options).ok()) co_return error_response(internal_fault("the answer is not JSON"));
    } else {
        r.type = "application/proto";
        r.body = (*out)->SerializeAsString();
    }
    // Only what is the same for everybody may be kept by a cache, and only for a moment.
    const bool same_for_all = get && m.rule.roles(0) == v1::ROLE_ANYONE && request.header("authorization").empty();
    r.headers.emplace_back("Cache-Control", same_for_all ? "public, max-age=2" : "no-store");
    co_return r;
}

awaitable<result<message_ptr>> connect_router::run(const method& m, const http_request& request, bool as_json, std::string body) {
    const auto timeout = request.header("connect-timeout-ms");
    std::int64_t timeout_ms = 0;
    if (!timeout.empty()) {
        const auto [end, bad] = std::from_chars(timeout.data(), timeout.data() + timeout.size(), timeout_ms);
        if (bad != std::errc{} || end != timeout.data() + timeout.size() || timeout.size() > 10 || timeout_ms < 0 || timeout.front() == '-')
            co_return invalid("connect-timeout-ms", "at most 10 digits.");
    }
    message_ptr message(google::protobuf::MessageFactory::generated_factory()->GetPrototype(m.descriptor->input_type())->New());
    if (as_json) {
        if (body.empty()) co_return invalid("", "An empty body is not a JSON object; send {}.");
        OVATION_CO_CHECK(check_json(body));
        JsonParseOptions options;
        options.ignore_unknown_fields = true;
        if (const auto read = google::protobuf::util::JsonStringToMessage(body, message.get(), options); !read.ok())
            co_return invalid("", "The body does not fit the request: " + std::string(read.message()));
    } else if (!message->ParseFromString(body)) {
        co_return invalid("", "The body is not a protobuf message of this request.");
    }

    caller who;
    const auto authorization = request.header("authorization");
    if (authorization.starts_with("Node ")) {
        OVATION_CO_TRY(who, p_.admit_node(authorization, body));
    } else if (!authorization.empty()) {
        if (!authorization.starts_with("Bearer ")) co_return invalid("authorization", "must be `Bearer` and an access token.");
        OVATION_CO_TRY(who, p_.people.authenticate(authorization.substr(7)));
    }
    who.address = request.address;
    who.client = std::string(request.header("user-agent").substr(0, 200));
    const auto now = p_.clock.steady_ms();
    fault late = unavailable("deadline_exceeded", "The time that you gave was over.");
    late.kind = code::deadline_exceeded;
    if (!timeout.empty()) {
        if (timeout_ms == 0) co_return late;
        who.deadline_ms = now + timeout_ms;
    }
    const auto deadline = who.deadline_ms;
    OVATION_CO_TRY(auto proof, co_await p_.gate.check(m.rule, std::move(who), *message));
    auto out = co_await (*m.handler)(std::move(proof), *message);
    // What carries a key may have been paid: its answer stands, however late.
    if (deadline != 0 && !m.rule.needs_key() && p_.clock.steady_ms() > deadline) co_return late;
    co_return out;
}

}  // namespace ovation::server
