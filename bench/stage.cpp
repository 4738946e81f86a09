// The stage: singers scored per core, how soon a line's score arrives, what relaying costs, how soon a joiner has sound.
// Writes var/bench/stage.json. What a browser meets (mouth to ear, lyrics, joining) comes from bench/page.mjs, which adds to the file.
#include <algorithm>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <thread>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/log.hpp"
#include "ovation/v1/auth.pb.h"
#include "ovation/v1/channel.pb.h"
#include "ovation/v1/room.pb.h"
#include "bench/recordings.hpp"
#include "ovation/v1/song.pb.h"
#include "songs/import.hpp"
#include "songs/ogg_opus.hpp"
#include "songs/render.hpp"
#include "songs/scorer.hpp"
#include "tests/support/database.hpp"
#include "tests/support/server_process.hpp"

using namespace ovation;
using clock_type = std::chrono::steady_clock;

namespace {
constexpr int rooms_count = 8, listeners_each = 10;
constexpr int voice_bits = 56'000;
constexpr int per_message = 3;
double seconds_since(clock_type::time_point t) { return std::chrono::duration<double>(clock_type::now() - t).count(); }
double at_share(std::vector<double> v, double share) {
    if (v.empty()) return -1;
    std::ranges::sort(v);
    return v[std::min(v.size() - 1, static_cast<std::size_t>(static_cast<double>(v.size()) * share))];
}
double thread_cpu_s() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}
template <class T>
T must(result<T> r, const char* what) {
    if (!r) throw std::runtime_error(std::string(what) + ": " + r.error().message);
    return std::move(*r);
}

struct material {
    std::shared_ptr<const songs::ultrastar_song> song;
    std::vector<v1::LyricLine> lines;
    std::vector<std::string> voice;
    std::shared_ptr<const songs::rendition> backing;
};
material make_material(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    material m;
    m.song = std::make_shared<const songs::ultrastar_song>(must(songs::read_ultrastar(bytes), "song"));
    m.lines = m.song->lyrics();
    m.voice = songs::encode_packets({1, songs::render_voice(m.lines, m.lines.back().end() + 48'000, {.vibrato_cents = 40, .glide_s = 0.05})}, voice_bits);
    m.backing = std::make_shared<const songs::rendition>(songs::rendition{13, 1, songs::encode_packets({1, songs::render(*m.song, songs::part::accompaniment)}, 96'000)});
    return m;
}

// Singers that one core scores in real time, from Opus packets, everything on: decoding, pitch, verdicts, the probe.
double singers_per_core(const material& m, double seconds) {
    double audio_s = 0;
    const auto cpu = thread_cpu_s();
    const auto start = clock_type::now();
    while (seconds_since(start) < seconds) {
        songs::scorer s(m.song, {}, m.backing);
        for (std::size_t i = 0; i + per_message <= m.voice.size(); i += per_message)
            s.feed(static_cast<std::int64_t>(i) * songs::packet_samples - songs::opus_pre_skip, {m.voice.begin() + static_cast<std::ptrdiff_t>(i), m.voice.begin() + static_cast<std::ptrdiff_t>(i + per_message)});
        audio_s += static_cast<double>(m.voice.size()) * 0.02;
    }
    return audio_s / (thread_cpu_s() - cpu);
}

std::string log_in(const client::address& to, const std::string& handle, bool fresh, const test::database& db) {
    client::rpc c(to);
    if (fresh) {
        v1::RegisterRequest r;
        r.set_handle(handle);
        r.set_display_name(handle);
        r.set_password("bench-password");
        must(c.call<v1::LogInResponse>("AuthService/Register", r), "register");
        db.as_owner("update identity.users set roles = roles | 24");
    }
    v1::LogInRequest r;
    r.set_handle(handle);
    r.set_password("bench-password");
    return must(c.call<v1::LogInResponse>("AuthService/LogIn", r), "log in").access_token();
}
void enter(client::live& socket, std::int64_t room, const std::string& token, bool media) {
    v1::ClientFrame f;
    f.set_request_id(1);
    f.mutable_enter()->set_room_id(room);
    f.mutable_enter()->set_access_token(token);
    f.mutable_enter()->set_no_media(!media);
    f.mutable_enter()->set_buffer_ms(1'000);
    socket.send(f);
}

struct live_figures {
    std::vector<double> score_ms, join_ms;
    double relay_cpu_ms = 0, score_cpu_ms = 0;
};

// Rooms that sing in real time, ten listeners each. With `song` 0 they talk: that is the relay alone.
double sing(const test::server_process& server, const std::vector<std::pair<std::int64_t, std::string>>& rooms, std::int64_t song, const material& m, double seconds, live_figures& out) {
    std::mutex mutex;
    std::vector<std::thread> threads;
    const auto cpu = server.cpu_s();
    const auto begin = clock_type::now();
    for (const auto& one : rooms)
        threads.emplace_back([&, room = one.first, token = one.second] {
            client::live singer(server.to());
            enter(singer, room, token, false);
            v1::ClientFrame f;
            f.set_request_id(2);
            f.mutable_take_stage();
            singer.send(f);
            std::int64_t performance = 0;
            if (song != 0) {
                f.set_request_id(3);
                f.mutable_pick_song()->set_song_id(song);
                singer.send(f);
            }
            for (int i = 0; i < 200 && song != 0 && performance == 0; ++i)
                if (auto got = singer.next(100); got && got->has_stage() && got->stage().song_id() == song) performance = got->stage().performance_id();
            std::vector<std::unique_ptr<client::live>> listeners;
            for (int i = 0; i < listeners_each; ++i) {
                listeners.push_back(std::make_unique<client::live>(server.to()));
                enter(*listeners.back(), room, "", true);
            }
            std::vector<double> scores, joins;
            const auto start = clock_type::now();
            double next_join = 5;
            for (std::size_t i = 0; seconds_since(start) < seconds && (i + 1) * per_message <= m.voice.size();) {
                if (seconds_since(start) * 1000 >= static_cast<double>((i + 1) * per_message * 20)) {
                    f.set_request_id(0);
                    auto& media = *f.mutable_media();
                    media.Clear();
                    const auto first = static_cast<std::int64_t>(i * per_message) * songs::packet_samples - songs::opus_pre_skip;
                    media.set_media_time(first);
                    if (performance != 0) {
                        media.set_performance_id(performance);
                        media.set_song_position(first);
                    }
                    for (std::size_t k = 0; k < per_message; ++k) media.add_voice(m.voice[i * per_message + k]);
                    singer.send(f);
                    ++i;
                }
                while (auto got = singer.next(0)) {
                }
                for (auto& l : listeners)
                    while (auto got = l->next(0))
                        if (l == listeners.front() && got->has_line_score()) scores.push_back((seconds_since(start) - static_cast<double>(got->line_score().end()) / 48'000) * 1000);
                if (seconds_since(start) > next_join) {
                    next_join += 5;
                    const auto from = clock_type::now();
                    client::live late(server.to());
                    enter(late, room, "", true);
                    for (int messages = 0; messages < 5 && seconds_since(from) < 2;)
                        if (auto got = late.next(20); got && got->has_media()) ++messages;
                    joins.push_back(seconds_since(from) * 1000);
                }
                std::this_thread::sleep_for(std::chrono::milliseconds(4));
            }
            const std::scoped_lock lock(mutex);
            out.score_ms.insert(out.score_ms.end(), scores.begin(), scores.end());
            out.join_ms.insert(out.join_ms.end(), joins.begin(), joins.end());
        });
    for (auto& t : threads) t.join();
    return (server.cpu_s() - cpu) * 1000 / seconds_since(begin) / static_cast<double>(rooms.size());
}
}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    crypto::start();
    log::start("error");
    const auto binary = std::filesystem::path(argv[0]).parent_path() / "ovation";
    const double seconds = argc > 1 ? std::stod(argv[1]) : 30;
    const std::filesystem::path demo = "songs/demo";
    const auto m = make_material(demo / "farewell.txt");
    std::vector<double> singers;
    for (int i = 0; i < 5; ++i) singers.push_back(singers_per_core(m, std::min(4.0, seconds / 4)));

    const auto kept = bench::measure_recordings(m.voice, m.backing);

    test::database db;
    const auto media = std::filesystem::temp_directory_path() / ("ovation-bench-" + std::to_string(getpid()));
    {
        asio::io_context context(1);
        pg::pool pool(context, db.app(), 1);
        asio::co_spawn(context, songs::import_songs(pool, demo, {media, "", {0}}, [](const songs::imported&) {}), [&](std::exception_ptr, auto) { context.stop(); });
        context.run();
    }
    live_figures figures;
    {
        const test::server_process server(binary, {"--load-profile", "--database", db.app(), "--media-root", media.string()});
        std::vector<std::pair<std::int64_t, std::string>> rooms;
        const auto agent = log_in(server.to(), "bench-agent", true, db);
        (void)agent;
        client::rpc a(server.to());
        a.token = log_in(server.to(), "bench-agent", false, db);
        v1::CreateChannelRequest channel;
        channel.set_name("bench");
        const auto channel_number = must(a.call<v1::Channel>("ChannelService/CreateChannel", channel), "channel").id();
        for (int i = 0; i < rooms_count; ++i) {
            const auto handle = "bench-singer-" + std::to_string(i);
            (void)log_in(server.to(), handle, true, db);
            v1::CreateRoomRequest room;
            room.set_channel_id(channel_number);
            room.set_name(handle);
            room.set_singer_handle(handle);
            const auto number = must(a.call<v1::Room>("RoomService/CreateRoom", room), "room").id();
            client::rpc s(server.to());
            s.token = log_in(server.to(), handle, false, db);
            v1::OpenShowRequest open;
            open.set_room_id(number);
            must(s.call<v1::Room>("RoomService/OpenShow", open), "show");
            rooms.emplace_back(number, s.token);
        }
        client::rpc any(server.to());
        std::int64_t song = 0;
        const auto all = must(any.call<v1::ListSongsResponse>("SongService/ListSongs", v1::ListSongsRequest()), "songs");
        for (const auto& s : all.songs())
            if (s.content_hash() == m.song->content_hash()) song = s.id();
        live_figures ignored;
        figures.relay_cpu_ms = sing(server, rooms, 0, m, seconds / 2, ignored);
        figures.score_cpu_ms = sing(server, rooms, song, m, seconds, figures);
    }
    std::filesystem::remove_all(media);
    const auto line = [](const char* what, double v, const char* unit) { std::cout << fmt::format("{:<44} {:>9.1f} {}\n", what, v, unit); };
    std::cout << fmt::format("{} rooms, {} listeners each, {:.0f} s; load generator on the same cores\n", rooms_count, listeners_each, seconds);
    line("singers scored per core, median of 5", at_share(singers, 0.5), "");
    line("  least", at_share(singers, 0), "");
    line("  most", at_share(singers, 1), "");
    line("a line's score after its end, p50", at_share(figures.score_ms, 0.5), "ms");
    line("a line's score after its end, p99", at_share(figures.score_ms, 0.99), fmt::format("ms ({} lines)", figures.score_ms.size()).c_str());
    line("join, socket opened to five media messages, p50", at_share(figures.join_ms, 0.5), "ms");
    line("relay, CPU a second and room (10 listeners)", figures.relay_cpu_ms, "ms");
    line("relay + score, CPU a second and room", figures.score_cpu_ms, "ms");
    line("mix of a recording, CPU a second of it", kept.mix_cpu_ms_per_s, "ms");
    line("lost by a kill, most", kept.loss_ms_max, fmt::format("ms ({} kills)", kept.kills).c_str());
    line("seek in a recording of 240 s, p99", at_share(kept.seek_ms, 0.99), "ms");
    std::filesystem::create_directories("var/bench");
    std::ofstream("var/bench/stage.json") << fmt::format(R"({{"singers_per_core":{:.0f},"score_latency_ms_p50":{:.1f},"score_latency_ms_p99":{:.1f},"join_ms_p50":{:.1f},"relay_cpu_ms_per_s_per_room":{:.2f},"relay_and_score_cpu_ms_per_s_per_room":{:.2f},"mix_cpu_ms_per_s":{:.2f},"recording_loss_ms_max":{:.0f},"seek_ms_p99":{:.3f}}})",
                                                         at_share(singers, 0.5), at_share(figures.score_ms, 0.5), at_share(figures.score_ms, 0.99), at_share(figures.join_ms, 0.5), figures.relay_cpu_ms, figures.score_cpu_ms, kept.mix_cpu_ms_per_s, kept.loss_ms_max, at_share(kept.seek_ms, 0.99))
                                          << '\n';
    return 0;
}
