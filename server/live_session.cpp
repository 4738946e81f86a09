#include "server/live_session.hpp"

#include <google/protobuf/util/json_util.h>

#include "base/log.hpp"
#include "server/connect.hpp"

namespace ovation::server {
namespace {
using websocket::message;
using websocket::opcode;

constexpr int close_normal = 1000;
constexpr int close_unsupported = 1003;
constexpr int close_policy = 1008;
constexpr int refusals_ahead_max = 200;  // more refused than taken
constexpr std::int64_t goodbye_ms = 2'000;

// The room's end of the connection. Outlives its transport's use only as a null pointer in the member.
class live_pipe final : public rooms::pipe {
public:
    explicit live_pipe(transport& connection) : connection_(connection) {}

    std::ptrdiff_t write_some(std::string_view bytes) override {
        if (closing_) return -1;
        const auto taken = connection_.try_write(bytes);
        if (taken < 0) {
            connection_.shut_down();
            return taken;
        }
        mid_frame_ = static_cast<std::size_t>(taken) < bytes.size() && (taken > 0 || mid_frame_);
        if (!mid_frame_ && !control_.empty() && static_cast<std::size_t>(taken) == bytes.size()) send_control(std::exchange(control_, {}));
        return taken;
    }
    void wait_writable(std::function<void()> ready) override { connection_.wait_writable(std::move(ready)); }
    void close(int code, std::string_view reason) override {
        if (closing_) return;
        // Inside a frame nothing else can be said.
        if (!mid_frame_) connection_.try_write(websocket::encode_close(code, reason));
        closing_ = true;
        connection_.deadline_in(goodbye_ms);
        if (mid_frame_) connection_.shut_down();
    }
    void pong(std::string_view payload) {
        auto frame = websocket::encode(opcode::pong, payload);
        if (mid_frame_) control_ = std::move(frame);  // only the newest ping needs an answer
        else send_control(std::move(frame));
    }
    [[nodiscard]] bool closing() const override { return closing_; }
    // The peer has said goodbye: nothing more is to be waited for.
    void peer_closed() { peer_closed_ = true; }
    [[nodiscard]] bool has_peer_closed() const { return peer_closed_; }

private:
    void send_control(std::string frame) {
        // 127 bytes at most: what does not fit whole goes out never, and the connection is past use.
        const auto taken = connection_.try_write(frame);
        if (taken != 0 && static_cast<std::size_t>(taken) != frame.size()) connection_.shut_down();
    }
    transport& connection_;
    std::string control_;
    bool mid_frame_ = false;
    bool closing_ = false;
    bool peer_closed_ = false;
};

// What is carried from core to core.
struct passenger {
    travelling connection;
    websocket::decoder decode{limits::command_bytes_max};
    std::vector<message> waiting;  // behind the first frame
    websocket::failure failed = websocket::failure::none;  // behind those
    rooms::encoding wire = rooms::encoding::proto;
    caller who;
    v1::ClientFrame enter;
};

room_id room_of(const passenger& p) { return p.enter.enter().alone() ? rooms::hall::alone(p.who.user) : room_id(p.enter.enter().room_id()); }

bool parse(rooms::encoding wire, const message& m, v1::ClientFrame& to) {
    if (wire == rooms::encoding::proto) return to.ParseFromString(m.payload);
    if (!check_json(m.payload)) return false;
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    return google::protobuf::util::JsonStringToMessage(m.payload, &to, options).ok();
}

void refuse(live_pipe& pipe, rooms::encoding wire, std::uint64_t request_id, const fault& why) {
    const auto f = rooms::refusal(request_id, why);
    std::string payload;
    if (wire == rooms::encoding::json) (void)google::protobuf::util::MessageToJsonString(f, &payload);
    else f.SerializeToString(&payload);
    pipe.write_some(frame_for(wire, payload));
}

const v1::Access& rule_of(const v1::ClientFrame& frame) {
    const auto* oneof = v1::ClientFrame::descriptor()->FindOneofByName("command");
    const auto* field = frame.GetReflection()->GetOneofFieldDescriptor(frame, oneof);
    return field->options().GetExtension(v1::live_access);
}

// Reads what comes. False: the connection is over. A broken frame is told in `failed`, behind the whole messages before it.
awaitable<bool> more(transport& connection, websocket::decoder& decode, std::vector<message>& to, websocket::failure& failed) {
    char chunk[16 * 1024];
    const auto got = co_await connection.read_some(chunk, sizeof chunk);
    if (got <= 0) co_return false;
    failed = decode.feed({chunk, static_cast<std::size_t>(got)}, to);
    co_return true;
}

void close_broken(live_pipe& pipe, websocket::failure failed) {
    pipe.close(static_cast<int>(failed), failed == websocket::failure::too_big ? "message too big" : failed == websocket::failure::bad_utf8 ? "bad UTF-8" : "protocol error");
}

// After our close frame: until the peer's, or its deadline. Who has heard both ends the TCP connection at once (RFC 6455 section 7.1.1).
awaitable<void> linger(transport& connection, live_pipe& pipe, websocket::decoder& decode) {
    std::vector<message> rest;
    auto failed = websocket::failure::none;
    for (int i = 0; i < 64 && !pipe.has_peer_closed() && failed == websocket::failure::none; ++i) {
        rest.clear();
        if (!co_await more(connection, decode, rest, failed)) break;
        for (const auto& m : rest)
            if (m.kind == opcode::close) pipe.peer_closed();
    }
    co_await connection.finish();
}

// Control frames and wrong types. True: go on with this message.
bool is_data(live_pipe& pipe, rooms::encoding wire, const message& m) {
    switch (m.kind) {
        case opcode::ping: pipe.pong(m.payload); return false;
        case opcode::pong: return false;
        case opcode::close: pipe.peer_closed(); pipe.close(m.close_code == 1005 ? close_normal : m.close_code, ""); return false;
        default: break;
    }
    if ((wire == rooms::encoding::proto) != (m.kind == opcode::binary)) {
        pipe.close(close_unsupported, wire == rooms::encoding::proto ? "binary messages only" : "text messages only");
        return false;
    }
    return true;
}

class seated {
public:
    seated(live_parts& p, passenger who) : p_(p), rider_(std::move(who)) {}

    awaitable<void> run(core& home) {
        const auto id = room_of(rider_);
        transport connection(transport::assign(home.context, rider_.connection.descriptor), std::move(rider_.connection.ssl), *p_.sweepers[home.index]);
        live_pipe pipe(connection);
        connection.deadline_in(limits::idle_without_ping_ms);
        auto found = co_await p_.hall.find(id);
        if (!found) {
            refuse(pipe, rider_.wire, rider_.enter.request_id(), found.error());
            pipe.close(close_policy, found.error().reason);
            co_return co_await linger(connection, pipe, rider_.decode);
        }
        const auto here = std::move(*found);
        const auto& enter = rider_.enter.enter();
        auto seat = std::make_shared<rooms::member>(rider_.who, rider_.wire, pipe, !enter.no_media(), std::max(0, enter.buffer_ms()), enter.low_rate());
        p_.opened.add();
        auto entered = co_await here->enter(seat, enter, rider_.enter.request_id());
        if (!entered) {
            refuse(pipe, rider_.wire, rider_.enter.request_id(), entered.error());
            pipe.close(entered.error().reason == "kicked" ? static_cast<int>(rooms::close_kicked) : close_policy, entered.error().reason);
            seat->out = nullptr;
            co_return co_await linger(connection, pipe, rider_.decode);
        }
        // Who was banned or logged out on the way in was not yet to be found in the room.
        if (const auto& token = enter.access_token(); !token.empty() && rider_.who.user && !p_.people.authenticate(token)) pipe.close(rooms::close_session_ended, "session ended");
        else co_await talk(connection, pipe, here, seat);
        here->leave(seat);
        if (pipe.closing()) co_await linger(connection, pipe, rider_.decode);
    }

private:
    awaitable<void> talk(transport& connection, live_pipe& pipe, const std::shared_ptr<rooms::room>& here, const rooms::member_ptr& seat) {
        token_bucket commands(limits::commands_per_socket.times(p_.rate_factor));
        std::vector<message> messages = std::move(rider_.waiting);
        auto failed = rider_.failed;
        int refusals = 0;
        while (true) {
            for (const auto& m : messages) {
                if (pipe.closing()) co_return;
                // Pings of the protocol are counted as commands are; browsers send none.
                if ((m.kind == opcode::ping || m.kind == opcode::pong) && commands.take(p_.clock.steady_ms()) > 0) ++refusals;
                // One that is taken makes up for one that was not: a flood in which a few get through is still a flood.
                if (is_data(pipe, rider_.wire, m)) refusals = one(m, here, seat, commands) ? std::max(0, refusals - 1) : refusals + 1;
                if (refusals > refusals_ahead_max) pipe.close(close_policy, "too many refused commands");
            }
            messages.clear();
            if (failed != websocket::failure::none) close_broken(pipe, failed);
            if (pipe.closing()) co_return;
            connection.deadline_in(limits::idle_without_ping_ms);
            if (!co_await more(connection, rider_.decode, messages, failed)) co_return;
        }
    }

    // One message; false: it was refused. Refusals take the way of all answers, so that they cannot cut into another frame.
    bool one(const message& m, const std::shared_ptr<rooms::room>& here, const rooms::member_ptr& seat, token_bucket& commands) {
        v1::ClientFrame frame;
        const auto no = [&](const fault& why) {
            here->refuse(seat, frame.request_id(), why);
            return false;
        };
        if (!parse(rider_.wire, m, frame)) return no(invalid("", "This frame is not a ClientFrame."));
        if (frame.command_case() == v1::ClientFrame::COMMAND_NOT_SET) return no(invalid("command", "this frame carries no command that this server knows."));
        if (frame.command_case() != v1::ClientFrame::kMedia)
            if (const auto wait = commands.take(p_.clock.steady_ms()); wait > 0) {
                p_.refused.add();
                return no(exhausted("too_many_commands", "Too many commands at once. Nothing of this one was done.", wait));
            }
        auto proof = access_gate::check_live(rule_of(frame), rider_.who, {here->is_singer(rider_.who.user), here->is_on_stage(rider_.who.user), here->is_staff(rider_.who)});
        if (!proof) return no(proof.error());
        here->handle(seat, std::move(*proof), std::move(frame));
        return true;
    }

    live_parts& p_;
    passenger rider_;
};

awaitable<void> ride(live_parts& p, core& home, passenger who) {
    seated session(p, std::move(who));
    co_await session.run(home);
}
}  // namespace

std::string frame_for(rooms::encoding wire, std::string_view payload) {
    return websocket::encode(wire == rooms::encoding::proto ? opcode::binary : opcode::text, payload);
}

awaitable<void> run_live(live_parts& p, std::unique_ptr<transport> connection, std::string rest, rooms::encoding wire, std::string address) {
    passenger rider;
    rider.wire = wire;
    live_pipe pipe(*connection);
    connection->deadline_in(limits::handshake_deadline_ms);
    std::vector<message> messages;
    rider.failed = rider.decode.feed(rest, messages);
    // The first data message is `enter`.
    bool entered = false;
    while (!entered) {
        for (std::size_t i = 0; i < messages.size() && !pipe.closing(); ++i) {
            if (!is_data(pipe, wire, messages[i])) continue;
            fault why;
            if (!parse(wire, messages[i], rider.enter) || !rider.enter.has_enter()) why = invalid("enter", "the first frame must be `enter`.");
            else if (rider.enter.enter().room_id() <= 0 && !rider.enter.enter().alone()) why = invalid("room_id", "must be the id of a room.");
            else if (const auto& token = rider.enter.enter().access_token(); !token.empty()) {
                auto who = p.people.authenticate(token);
                if (who) rider.who = std::move(*who);
                else why = who.error();
            }
            if (why.reason.empty() && rider.enter.enter().alone() && !(rider.who.user && rider.who.roles.has(v1::ROLE_SINGER)))
                why = denied("role_missing", "A stage of one's own is for singers. Log in as one.");
            if (!why.reason.empty()) {
                refuse(pipe, wire, rider.enter.request_id(), why);
                pipe.close(why.kind == code::unauthenticated ? static_cast<int>(rooms::close_session_ended) : close_policy, why.reason);
                break;
            }
            rider.waiting.assign(std::make_move_iterator(messages.begin() + static_cast<std::ptrdiff_t>(i) + 1), std::make_move_iterator(messages.end()));
            entered = true;
            break;
        }
        if (entered) break;
        if (rider.failed != websocket::failure::none) close_broken(pipe, rider.failed);
        if (pipe.closing()) co_return co_await linger(*connection, pipe, rider.decode);
        messages.clear();
        if (!co_await more(*connection, rider.decode, messages, rider.failed)) co_return;
    }
    if (!co_await connection->flush()) co_return;
    rider.who.address = std::move(address);
    auto& home = p.hall.home_of(room_of(rider));
    rider.connection = connection->release();
    connection.reset();
    // From here on the home core owns it.
    asio::post(home.context, [&p, &home, moved = std::make_shared<passenger>(std::move(rider))] { home.tasks.spawn("live", ride(p, home, std::move(*moved))); });
}

}  // namespace ovation::server
