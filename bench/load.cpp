#include "bench/load.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iostream>
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

double wire_rate(const std::string& binary, const test::database& db, double seconds) {
    int out[2];
    if (pipe(out) != 0) return 0;
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], 1);
        execl(binary.c_str(), "ovation", "serve", "--demo", "--load-profile", "--log-level", "error", "--port", "0", "--web-root", "", "--database", db.app().c_str(), static_cast<char*>(nullptr));
        _exit(127);
    }
    close(out[1]);
    std::string line;
    for (char c = 0; read(out[0], &c, 1) == 1 && c != '\n';) line += c;
    const client::address to{"127.0.0.1", line.substr(line.rfind(':') + 1)};
    const auto token_of = [&](const std::string& handle, bool fresh) {
        client::rpc c(to);
        if (fresh) {
            v1::RegisterRequest r;
            r.set_handle(handle);
            r.set_display_name(handle);
            r.set_password("bench-password");
            (void)c.call<v1::LogInResponse>("AuthService/Register", r);
            db.as_owner("update identity.users set roles = roles | 24; update ledger.wallet set daily_limit = 1000000000000");
        }
        v1::LogInRequest r;
        r.set_handle(handle);
        r.set_password("bench-password");
        return c.call<v1::LogInResponse>("AuthService/LogIn", r).value();
    };
    const auto star = token_of("bench-star", true);
    client::rpc c(to);
    c.token = star.access_token();
    v1::CreateChannelRequest channel;
    channel.set_name("bench");
    v1::CreateRoomRequest room;
    room.set_channel_id(c.call<v1::Channel>("ChannelService/CreateChannel", channel).value().id());
    room.set_name("bench");
    room.set_singer_handle("bench-star");
    const auto room_number = c.call<v1::Room>("RoomService/CreateRoom", room).value().id();
    v1::OpenShowRequest open;
    open.set_room_id(room_number);
    (void)c.call<v1::Room>("RoomService/OpenShow", open);
    constexpr int clients = 4, window = 200;
    std::atomic<std::int64_t> done{0};
    std::vector<std::thread> threads;
    std::vector<v1::LogInResponse> people;
    for (int i = 0; i < clients; ++i) people.push_back(token_of("bench-" + std::to_string(i), true));
    // The dearest pack: 500 000 coins.
    for (const auto& p : people) {
        client::rpc till(to);
        till.token = p.access_token();
        v1::CreateTopUpRequest order;
        order.set_key(uuid::make_v7(system_clock_source().now_ms()).text());
        order.set_pack_id(7);
        order.set_provider("sandbox");
        v1::PaySandboxOrderRequest pay;
        pay.set_order_id(till.call<v1::TopUp>("PaymentService/CreateTopUp", order).value().order_id());
        (void)till.call<v1::TopUp>("PaymentService/PaySandboxOrder", pay);
    }
    const auto start = clock_type::now();
    for (int i = 0; i < clients; ++i)
        threads.emplace_back([&, i] {
            client::live socket(to);
            v1::ClientFrame f;
            f.set_request_id(1);
            f.mutable_enter()->set_room_id(room_number);
            f.mutable_enter()->set_access_token(people[static_cast<std::size_t>(i)].access_token());
            f.mutable_enter()->set_no_media(true);
            socket.send(f);
            const system_clock_source now;
            int on_the_way = 0;
            std::uint64_t request = 1;
            try {
                while (seconds_since(start) < seconds) {
                    while (on_the_way < window) {
                        f.set_request_id(++request);
                        auto& g = *f.mutable_send_gift();
                        g.set_key(uuid::make_v7(now.now_ms()).text());
                        g.set_room_id(room_number);
                        g.set_gift_id(11);
                        g.set_quantity(1);
                        g.set_price_version(1);
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
    const auto rate = static_cast<double>(done) / seconds_since(start);
    kill(pid, SIGTERM);
    waitpid(pid, nullptr, 0);
    return rate;
}
}  // namespace ovation::bench
