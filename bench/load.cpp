#include "bench/load.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <iostream>
#include <mutex>
#include <thread>

#include "base/clock.hpp"
#include "base/uuid.hpp"
#include "ovation/v1/auth.pb.h"
#include "ovation/v1/channel.pb.h"
#include "ovation/v1/payment.pb.h"
#include "ovation/v1/room.pb.h"
#include "server/client.hpp"

namespace ovation::bench {
using clock_type = std::chrono::steady_clock;

double seconds_since(clock_type::time_point t) { return std::chrono::duration<double>(clock_type::now() - t).count(); }
double median(std::vector<double> v) {
    std::ranges::sort(v);
    return v[v.size() / 2];
}
void make_textbook(const test::database& db) {
    db.as_owner("create schema textbook; create table textbook.account (id int primary key, amount bigint not null check (id >= 2000 or amount >= 0)); create table textbook.transfer (key uuid primary key);"
                "create table textbook.posting (id bigserial primary key, key uuid references textbook.transfer, account int references textbook.account, amount bigint); create index on textbook.posting (account);"
                "insert into textbook.account select g, 1000000000000 from generate_series(1, 1000) g union all select g, 0 from generate_series(2000, 2002) g;"
                "grant usage on schema textbook to ovation_app; grant all on all tables in schema textbook to ovation_app; grant all on all sequences in schema textbook to ovation_app");
}

// What a textbook does: begin, lock both balances, check, four postings, two updates, commit.
double textbook_rate(const std::string& conninfo, int clients, double seconds) {
    std::atomic<std::int64_t> done{0};
    std::vector<std::thread> threads;
    const auto start = clock_type::now();
    for (int c = 0; c < clients; ++c)
        threads.emplace_back([&, c] {
            std::unique_ptr<PGconn, void (*)(PGconn*)> db(PQconnectdb(conninfo.c_str()), &PQfinish);
            for (int i = c; seconds_since(start) < seconds; i += clients) {
                const auto from = std::to_string(1 + i % senders_of_textbook);
                const auto key = uuid::make_v7(system_clock_source().now_ms()).text();
                bool good = true;
                for (const std::string& sql : {std::string("begin"), "select amount from textbook.account where id in (" + from + ", 2000, 2001, 2002) order by id for update",
                                               "insert into textbook.transfer (key) values ('" + key + "')",
                                               "insert into textbook.posting (key, account, amount) values ('" + key + "', " + from + ", -10000), ('" + key + "', 2000, 5500), ('" + key + "', 2001, 1000), ('" + key + "', 2002, 3500)",
                                               "update textbook.account a set amount = amount + d from (values (" + from + ", -10000), (2000, 5500), (2001, 1000), (2002, 3500)) v (id, d) where a.id = v.id", std::string("commit")}) {
                    std::unique_ptr<PGresult, void (*)(PGresult*)> r(PQexec(db.get(), sql.c_str()), &PQclear);
                    const auto s = PQresultStatus(r.get());
                    good = good && (s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK);
                }
                if (good) ++done;
            }
        });
    for (auto& t : threads) t.join();
    return static_cast<double>(done) / seconds_since(start);
}

namespace {
constexpr double warm_up_s = 1;  // the first second after everybody came in at once does not count

// A server of its own at a free port, its singer and her rooms, and people with coins.
class live_server {
public:
    live_server(const std::string& binary, const test::database& db) : db_(db) {
        int out[2];
        if (pipe(out) != 0) throw std::runtime_error("pipe");
        pid_ = fork();
        if (pid_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            dup2(out[1], 1);
            execl(binary.c_str(), "ovation", "serve", "--demo", "--load-profile", "--log-level", "error", "--port", "0", "--web-root", "", "--database", db.app().c_str(), static_cast<char*>(nullptr));
            _exit(127);
        }
        close(out[1]);
        std::string line;
        for (char c = 0; read(out[0], &c, 1) == 1 && c != '\n';) line += c;
        close(out[0]);
        to = {"127.0.0.1", line.substr(line.rfind(':') + 1)};
        for (int i = 0; i < 600 && !knows_keys(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    ~live_server() {
        kill(pid_, SIGTERM);
        waitpid(pid_, nullptr, 0);
    }
    live_server(const live_server&) = delete;
    live_server& operator=(const live_server&) = delete;

    // An access token.
    std::string person(const std::string& handle) {
        client::rpc c(to);
        v1::RegisterRequest r;
        r.set_handle(handle);
        r.set_display_name(handle);
        r.set_password("bench-password");
        (void)c.call<v1::LogInResponse>("AuthService/Register", r);
        db_.as_owner("update identity.users set roles = roles | 24; update ledger.wallet set daily_limit = 1000000000000 where daily_limit < 1000000000000");
        v1::LogInRequest l;
        l.set_handle(handle);
        l.set_password("bench-password");
        return c.call<v1::LogInResponse>("AuthService/LogIn", l).value().access_token();
    }
    // With the dearest pack: 500 000 coins.
    std::string rich(const std::string& handle) {
        client::rpc till(to);
        till.token = person(handle);
        v1::CreateTopUpRequest order;
        order.set_key(uuid::make_v7(system_clock_source().now_ms()).text());
        order.set_pack_id(7);
        order.set_provider("sandbox");
        v1::PaySandboxOrderRequest pay;
        pay.set_order_id(till.call<v1::TopUp>("PaymentService/CreateTopUp", order).value().order_id());
        (void)till.call<v1::TopUp>("PaymentService/PaySandboxOrder", pay);
        return till.token;
    }
    // A room with an open show, of a singer of its own.
    std::int64_t room(const std::string& name) {
        client::rpc c(to);
        c.token = person(name + "-star");
        v1::CreateChannelRequest channel;
        channel.set_name(name);
        v1::CreateRoomRequest room;
        room.set_channel_id(c.call<v1::Channel>("ChannelService/CreateChannel", channel).value().id());
        room.set_name(name);
        room.set_singer_handle(name + "-star");
        v1::OpenShowRequest open;
        open.set_room_id(c.call<v1::Room>("RoomService/CreateRoom", room).value().id());
        (void)c.call<v1::Room>("RoomService/OpenShow", open);
        return open.room_id();
    }

    client::address to;

private:
    // A server that has just begun asks PostgreSQL for every key.
    [[nodiscard]] bool knows_keys() const {
        const client::stream asked(to);
        asked.send("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        std::string text;
        for (auto more = asked.receive(1'000); !more.empty() && text.find("\novation_ledger_keys_known ") == text.npos; more = asked.receive(1'000)) text += more;
        return text.find("\novation_ledger_keys_known 1") != text.npos;
    }
    const test::database& db_;
    pid_t pid_ = 0;
};

v1::ClientFrame entering(std::int64_t room, const std::string& token) {
    v1::ClientFrame f;
    f.set_request_id(1);
    f.mutable_enter()->set_room_id(room);
    f.mutable_enter()->set_access_token(token);
    f.mutable_enter()->set_no_media(true);
    return f;
}
void make_gift(v1::ClientFrame& f, std::uint64_t request, std::int64_t room) {
    f.set_request_id(request);
    auto& g = *f.mutable_send_gift();
    g.set_key(uuid::make_v7(system_clock_source().now_ms()).text());
    g.set_room_id(room);
    g.set_gift_id(11);
    g.set_quantity(1);
    g.set_price_version(1);
}
}  // namespace

double wire_rate(const std::string& binary, const test::database& db, double seconds) {
    live_server server(binary, db);
    const auto room = server.room("bench");
    constexpr int clients = 8, window = 100;  // each below what the load profile lets one socket do
    std::atomic<std::int64_t> done{0};
    std::vector<std::thread> threads;
    std::vector<std::string> tokens;
    for (int i = 0; i < clients; ++i) tokens.push_back(server.rich("bench-" + std::to_string(i)));
    const auto start = clock_type::now();
    for (int i = 0; i < clients; ++i)
        threads.emplace_back([&, i] {
            client::live socket(server.to);
            auto f = entering(room, tokens[static_cast<std::size_t>(i)]);
            socket.send(f);
            int on_the_way = 0;
            std::uint64_t request = 1;
            try {
                while (seconds_since(start) < seconds) {
                    while (on_the_way < window) {
                        make_gift(f, ++request, room);
                        socket.send(f);
                        ++on_the_way;
                    }
                    auto got = socket.next(1'000);
                    if (!got) break;
                    if (got->has_gift_sent()) ++done;
                    if (got->has_gift_sent() || got->has_refused()) --on_the_way;
                }
            } catch (const client::live::closed& e) {
                std::cerr << "closed " << e.code << ' ' << e.reason << '\n';
            }
        });
    for (auto& t : threads) t.join();
    return static_cast<double>(done) / seconds_since(start);
}

seen_times tap_to_seen(const std::string& binary, const test::database& db, int rooms, int rate, double seconds) {
    live_server server(binary, db);
    std::vector<std::int64_t> numbers;
    std::vector<std::string> tokens;
    for (int i = 0; i < rooms; ++i) {
        static int named = 0;
        const auto name = "seen-" + std::to_string(++named);
        numbers.push_back(server.room(name));
        tokens.push_back(server.rich(name));
    }
    // One sender in each room: her gifts are shown in the order in which she sent them.
    struct lane {
        std::mutex mutex;
        std::deque<std::pair<clock_type::time_point, bool>> sent;  // and whether it counts
        std::vector<float> ms;
    };
    std::vector<lane> lanes(static_cast<std::size_t>(rooms));
    std::atomic<int> ready{0};
    std::atomic<bool> over{false};
    std::atomic<std::int64_t> refused{0};
    std::vector<std::thread> threads;
    const int each = std::max(1, rate / rooms);
    for (int i = 0; i < rooms; ++i) {
        auto& of = lanes[static_cast<std::size_t>(i)];
        const auto room = numbers[static_cast<std::size_t>(i)];
        threads.emplace_back([&of, &ready, &over, &server, room] {
            client::live socket(server.to);
            socket.send(entering(room, ""));
            while (!over) {
                const auto got = socket.next(200);
                if (got && got->has_welcome()) ++ready;
                if (!got || !got->has_gift()) continue;
                const auto now = clock_type::now();
                std::scoped_lock lock(of.mutex);
                if (of.sent.empty()) continue;
                if (const auto [from, counts] = of.sent.front(); counts) of.ms.push_back(static_cast<float>(std::chrono::duration<double>(now - from).count() * 1000));
                of.sent.pop_front();
            }
        });
        threads.emplace_back([&, room, token = tokens[static_cast<std::size_t>(i)]] {
            client::live socket(server.to);
            auto f = entering(room, token);
            socket.send(f);
            while (!socket.next(1'000)) {}
            ++ready;
            while (ready < 2 * rooms) std::this_thread::sleep_for(std::chrono::milliseconds(5));
            const auto start = clock_type::now();
            // What was due while others ran goes together, as from many phones at once.
            for (std::uint64_t k = 0; seconds_since(start) < warm_up_s + seconds;) {
                for (const auto due = static_cast<std::uint64_t>(seconds_since(start) * each); k < due; ++k) {
                    make_gift(f, k + 2, room);
                    {
                        std::scoped_lock lock(of.mutex);
                        of.sent.emplace_back(clock_type::now(), seconds_since(start) >= warm_up_s);
                    }
                    socket.send(f);
                }
                for (int n = 0; n < 64; ++n) {
                    const auto got = socket.next(1);
                    if (!got) break;
                    if (got->has_refused()) ++refused;
                }
            }
            for (int left = 0; left < 500; ++left) {
                {
                    std::scoped_lock lock(of.mutex);
                    if (of.sent.empty()) break;
                }
                (void)socket.next(10);
            }
        });
    }
    for (std::size_t i = 1; i < threads.size(); i += 2) threads[i].join();
    over = true;
    for (std::size_t i = 0; i < threads.size(); i += 2) threads[i].join();
    std::vector<float> all;
    seen_times out;
    for (auto& l : lanes) {
        all.insert(all.end(), l.ms.begin(), l.ms.end());
        out.lost += static_cast<std::int64_t>(l.sent.size());
    }
    out.lost += refused;
    std::ranges::sort(all);
    if (all.empty()) return out;
    out.seen = static_cast<std::int64_t>(all.size());
    out.p50_ms = all[all.size() / 2];
    out.p99_ms = all[all.size() * 99 / 100];
    out.rate = static_cast<double>(all.size()) / seconds;
    return out;
}
}  // namespace ovation::bench
