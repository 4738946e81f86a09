#include "server/demo.hpp"

#include <spdlog/fmt/fmt.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/uuid.hpp"
#include "ovation/v1/auth.pb.h"
#include "ovation/v1/channel.pb.h"
#include "ovation/v1/payment.pb.h"
#include "ovation/v1/room.pb.h"
#include "ovation/v1/song.pb.h"
#include "server/client.hpp"
#include "songs/ogg_opus.hpp"
#include "songs/render.hpp"
#include "songs/rendition.hpp"

namespace ovation::server {
namespace {
using client::live;
using client::rpc;

std::atomic<bool> ended{false};
constexpr int voice_bits = 48'000;

void pause(std::int64_t ms) {
    for (; ms > 0 && !ended; ms -= 100) std::this_thread::sleep_for(std::chrono::milliseconds(std::min<std::int64_t>(ms, 100)));
}

template <class T>
T must(result<T> r, const char* what) {
    if (!r) throw std::runtime_error(fmt::format("{}: {}", what, r.error().message));
    if constexpr (!std::is_void_v<T>) return std::move(*r);
}

result<v1::User> try_log_in(rpc& c, const std::string& handle, const std::string& password) {
    v1::LogInRequest request;
    request.set_handle(handle);
    request.set_password(password);
    OVATION_CHECK_VALUE(r, c.call<v1::LogInResponse>("AuthService/LogIn", request));
    c.token = r.access_token();
    return r.user();
}
v1::User log_in(rpc& c, const std::string& handle, const std::string& password) { return must(try_log_in(c, handle, password), handle.c_str()); }
v1::User log_in_demo(rpc& c, const std::string& handle) {
    auto who = try_log_in(c, handle, demo_password);
    if (who || who.error().reason != "wrong_log_in") return must(std::move(who), handle.c_str());
    throw std::runtime_error(fmt::format("{}: {} Start the server with --demo; ./dev run makes the demo people.", handle, who.error().message));
}

v1::ServerFrame await_reply(live& socket, std::uint64_t request_id) {
    for (int i = 0; i < 1000; ++i) {
        auto f = socket.next(5'000);
        if (!f) break;
        if (f->request_id() != request_id) continue;
        if (f->has_refused()) throw std::runtime_error(f->refused().message());
        return *f;
    }
    throw std::runtime_error("The server does not answer.");
}

std::unique_ptr<live> enter(const client::address& to, const std::string& token, std::int64_t room, bool media) {
    auto socket = std::make_unique<live>(to);
    v1::ClientFrame f;
    f.set_request_id(1);
    f.mutable_enter()->set_room_id(room);
    f.mutable_enter()->set_access_token(token);
    f.mutable_enter()->set_no_media(!media);
    socket->send(f);
    await_reply(*socket, 1);
    return socket;
}

// Reads what comes, so that the server need not keep it for us.
void drain(live& socket) {
    while (socket.next(0)) {
    }
}

// Sends the packets on their own clock, three to a message; stamps media time and song position as a singer's page does.
void sing(live& socket, const songs::opus_packets& voice, std::int64_t performance, std::int64_t limit_ms, std::int64_t media_start = 0) {
    constexpr std::size_t per_message = 3;
    const auto start = std::chrono::steady_clock::now();
    std::int64_t next_ping_ms = 0;
    for (std::size_t i = 0; i + per_message <= voice.packets.size() && !ended; i += per_message) {
        const auto first = static_cast<std::int64_t>(i) * songs::packet_samples - voice.pre_skip;
        const auto due_ms = static_cast<std::int64_t>(i) * 20;
        if (limit_ms > 0 && due_ms > limit_ms) break;
        std::this_thread::sleep_until(start + std::chrono::milliseconds(due_ms));
        v1::ClientFrame f;
        auto& m = *f.mutable_media();
        m.set_performance_id(performance);
        m.set_media_time(media_start + first);
        if (performance != 0) m.set_song_position(first);
        m.set_flags(1);
        for (std::size_t k = 0; k < per_message; ++k) m.add_voice(voice.packets[i + k]);
        socket.send(f);
        if (due_ms >= next_ping_ms) {
            v1::ClientFrame ping;
            ping.mutable_ping()->set_sent_at_ms(due_ms);
            socket.send(ping);
            next_ping_ms = due_ms + 10'000;
        }
        drain(socket);
    }
}

std::int64_t take_stage_with(live& socket, std::int64_t song) {
    v1::ClientFrame f;
    f.set_request_id(2);
    f.mutable_take_stage();
    socket.send(f);
    await_reply(socket, 2);
    if (song == 0) return 0;
    f.set_request_id(3);
    f.mutable_pick_song()->set_song_id(song);
    socket.send(f);
    std::int64_t performance = 0;
    for (int i = 0; i < 200; ++i) {
        auto got = socket.next(5'000);
        if (!got) break;
        if (got->has_refused() && got->request_id() == 3) throw std::runtime_error(got->refused().message());
        if (got->has_stage()) performance = got->stage().performance_id();
        // Until then it may still be the performance of before a restart.
        if (got->request_id() == 3) return performance;
    }
    throw std::runtime_error("The song could not be picked.");
}

songs::opus_packets read_opus(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error(fmt::format("file: cannot read {}.", path));
    std::ostringstream bytes;
    bytes << in.rdbuf();
    return must(songs::read_ogg_opus(std::move(bytes).str()), path.c_str());
}
struct demo_room {
    std::int64_t id;
    std::string singer;
    std::int64_t first_song;
};

std::string today() {
    const std::time_t now = std::time(nullptr);
    char text[16];
    std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
    return text;
}

std::vector<demo_room> furnish(const client::address& to) {
    rpc agent(to);
    log_in_demo(agent, "agent");
    auto channels = must(agent.call<v1::ListMyChannelsResponse>("ChannelService/ListMyChannels", v1::ListMyChannelsRequest()), "channels");
    if (channels.channels_size() == 0) {
        v1::CreateChannelRequest request;
        request.set_name("河畔民谣 Riverside Folk");
        request.set_theme("dusk");
        *channels.add_channels() = must(agent.call<v1::Channel>("ChannelService/CreateChannel", request), "channel");
    }
    const auto channel = channels.channels(0).id();
    auto contracts = must(agent.call<v1::ListContractsResponse>("ChannelService/ListContracts", [&] {
        v1::ListContractsRequest r;
        r.set_channel_id(channel);
        return r;
    }()), "contracts");
    auto rooms = must(agent.call<v1::ListRoomsResponse>("RoomService/ListMyRooms", v1::ListMyRoomsRequest()), "rooms");
    std::vector<demo_room> out;
    const struct {
        const char* singer;
        const char* room;
    } wanted[] = {{"singer", "江边的黄昏 Evening by the River"}, {"singer2", "茉莉花园 Jasmine Garden"}};
    std::int64_t song = 1;
    for (const auto& w : wanted) {
        rpc singer(to);
        const auto me = log_in_demo(singer, w.singer);
        bool signed_up = false;
        for (const auto& c : contracts.contracts()) signed_up |= c.singer_id() == me.id() && c.state() == v1::CONTRACT_STATE_ACCEPTED;
        if (!signed_up) {
            v1::OfferContractRequest offer;
            offer.set_channel_id(channel);
            offer.set_singer_handle(w.singer);
            offer.set_agent_bp(1000);
            offer.set_from_date(today());
            const auto made = must(agent.call<v1::Contract>("ChannelService/OfferContract", offer), "contract");
            v1::DecideContractRequest yes;
            yes.set_contract_id(made.id());
            yes.set_accept(true);
            must(singer.call<v1::Contract>("ChannelService/DecideContract", yes), "contract");
        }
        std::int64_t room = 0;
        for (const auto& r : rooms.rooms())
            if (r.singer_id() == me.id()) room = r.id();
        if (room == 0) {
            v1::CreateRoomRequest request;
            request.set_channel_id(channel);
            request.set_name(w.room);
            request.set_singer_handle(w.singer);
            room = must(agent.call<v1::Room>("RoomService/CreateRoom", request), "room").id();
            v1::SetBumpsRequest bumps;
            bumps.set_room_id(room);
            bumps.set_price_coins(500);
            bumps.set_per_show(10);
            must(agent.call<v1::Room>("RoomService/SetBumps", bumps), "bumps");
        }
        out.push_back({room, w.singer, song++});
    }
    return out;
}

// One song after the other, for as long as the demo runs.
void singer_bot(client::address to, demo_room room) {
    rpc c(to);
    log_in_demo(c, room.singer);
    v1::OpenShowRequest open;
    open.set_room_id(room.id);
    must(c.call<v1::Room>("RoomService/OpenShow", open), "show");
    const auto songs = must(c.call<v1::ListSongsResponse>("SongService/ListSongs", v1::ListSongsRequest()), "songs");
    if (songs.songs_size() == 0) throw std::runtime_error("There are no songs: run `ovation songs import songs/demo` first.");
    auto socket = enter(to, c.token, room.id, false);
    std::int64_t media_time = 0;
    for (int i = static_cast<int>(room.first_song) - 1; !ended; ++i) {
        const auto& song = songs.songs(i % songs.songs_size());
        v1::GetSongRequest which;
        which.set_song_id(song.id());
        const auto whole = must(c.call<v1::Song>("SongService/GetSong", which), "song");
        const std::vector<v1::LyricLine> lines(whole.lines().begin(), whole.lines().end());
        songs::opus_packets voice;
        voice.packets = songs::encode_packets({1, songs::render_voice(lines, song.duration_samples(), {.cents = static_cast<double>(i % 3) * 12, .vibrato_cents = 35, .glide_s = 0.05})}, voice_bits);
        const auto performance = take_stage_with(*socket, song.id());
        sing(*socket, voice, performance, 0, media_time);
        media_time += static_cast<std::int64_t>(voice.packets.size()) * songs::packet_samples + 96'000;
        pause(2'000);
    }
    v1::EndShowRequest end;
    end.set_room_id(room.id);
    (void)c.call<v1::Room>("RoomService/EndShow", end);
}

void audience_bot(client::address to, int number, std::vector<demo_room> rooms) {
    std::mt19937 dice(static_cast<std::mt19937::result_type>(number) * 7919u);
    const auto roll = [&](int most) { return std::uniform_int_distribution<int>(0, most - 1)(dice); };
    rpc c(to);
    log_in_demo(c, fmt::format("listener{}", number));
    const auto room = rooms[static_cast<std::size_t>(number) % rooms.size()].id;
    auto socket = enter(to, c.token, room, false);
    const char* words[] = {"好听", "晚上好", "Encore!", "这首歌我外婆也会唱", "so warm", "音准真稳", "first time here, lovely", "再来一首", "那个高音", "from the night shift with love"};
    const system_clock_source clock;
    const auto gifts = must(c.call<v1::ListGiftsResponse>("GiftService/ListGifts", v1::ListGiftsRequest()), "gifts");
    pause(1'000 + roll(4'000));
    std::uint64_t request = 10;
    while (!ended) {
        v1::ClientFrame f;
        f.set_request_id(++request);
        if (roll(3) == 0) {
            f.mutable_send_chat()->set_text(words[roll(10)]);
            socket->send(f);
        } else {
            // Mostly small ones; now and then something bright.
            const auto& gift = gifts.gifts(roll(20) == 0 ? roll(gifts.gifts_size()) : roll(4));
            const int times = roll(4) == 0 ? 3 + roll(8) : 1;
            for (int i = 0; i < times && !ended; ++i) {
                auto& g = *f.mutable_send_gift();
                g.set_key(uuid::make_v7(clock.now_ms()).text());
                g.set_room_id(room);
                g.set_gift_id(gift.id());
                g.set_quantity(1);
                g.set_price_version(gift.price_version());
                f.set_request_id(++request);
                socket->send(f);
                pause(300);
            }
        }
        bool dry = false;
        while (auto got = socket->next(0)) dry |= got->has_refused() && got->refused().detail().reason() == "insufficient_coins";
        if (dry) {
            v1::CreateTopUpRequest order;
            order.set_key(uuid::make_v7(clock.now_ms()).text());
            order.set_pack_id(2 + roll(2));
            order.set_provider("sandbox");
            const auto made = c.call<v1::TopUp>("PaymentService/CreateTopUp", order);
            if (!made) {
                log_in_demo(c, fmt::format("listener{}", number));  // the token has run out: next time
                continue;
            }
            v1::PaySandboxOrderRequest pay;
            pay.set_order_id(made->order_id());
            (void)c.call<v1::TopUp>("PaymentService/PaySandboxOrder", pay);
        }
        for (int i = 0; i < 3 && !ended; ++i) {
            pause(1'000 + roll(2'000));
            drain(*socket);
        }
        v1::ClientFrame ping;
        ping.mutable_ping()->set_sent_at_ms(clock.now_ms());
        socket->send(ping);
    }
}

// A bot whose connection breaks comes back, as a page would.
template <class Body>
void keep_at_it(const char* what, Body body) {
    while (!ended) {
        try {
            body();
        } catch (const live::closed& c) {
            std::cerr << fmt::format("{}: closed {} {}\n", what, c.code, c.reason);
        } catch (const std::exception& e) {
            std::cerr << fmt::format("{}: {}\n", what, e.what());
        }
        pause(3'000);
    }
}
}  // namespace

int run_demo(const demo_options& options) {
    const auto to = client::address::parse(options.url, options.ca);
    const auto rooms = furnish(to);
    for (const auto& r : rooms) std::cout << fmt::format("room {} of {}\n", r.id, r.singer) << std::flush;
    if (options.seconds < 0) return 0;
    std::signal(SIGINT, [](int) { ended = true; });
    std::signal(SIGTERM, [](int) { ended = true; });
    std::vector<std::thread> bots;
    for (const auto& r : rooms) bots.emplace_back([=] { keep_at_it("singer", [&] { singer_bot(to, r); }); });
    pause(1'500);
    for (int i = 1; i <= 6; ++i) bots.emplace_back([=] { keep_at_it("listener", [&] { audience_bot(to, i, rooms); }); });
    if (options.seconds > 0) {
        pause(options.seconds * 1000);
        ended = true;
    }
    for (auto& b : bots) b.join();
    return 0;
}

int run_publish(const publish_options& options) {
    const auto to = client::address::parse(options.url, options.ca);
    const auto voice = read_opus(options.file);
    rpc c(to);
    log_in(c, options.handle, options.password);
    v1::OpenShowRequest open;
    open.set_room_id(options.room);
    must(c.call<v1::Room>("RoomService/OpenShow", open), "show");
    auto socket = enter(to, c.token, options.room, false);
    const auto performance = take_stage_with(*socket, options.song);
    std::cout << fmt::format("on stage in room {}, performance {}, {} packets\n", options.room, performance, voice.packets.size()) << std::flush;
    try {
        sing(*socket, voice, performance, options.seconds * 1000);
    } catch (const live::closed& gone) {
        throw std::runtime_error(fmt::format("The server closed the connection: {} {}.", gone.code, gone.reason));
    }
    return 0;
}

}  // namespace ovation::server
