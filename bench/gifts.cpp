// Gifts per second: the posting queue, beside a textbook transaction per gift with row locks, in one interleaved run; and
// through the wire. Writes var/bench/gifts.json.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <thread>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "ledger/posting_queue.hpp"
#include "ledger/routes.hpp"
#include "ledger/split.hpp"
#include "ovation/v1/auth.pb.h"
#include "ovation/v1/channel.pb.h"
#include "ovation/v1/room.pb.h"
#include "server/client.hpp"
#include "tests/support/database.hpp"

using namespace ovation;
using clock_type = std::chrono::steady_clock;

namespace {
constexpr int senders = 1'000;
constexpr int rounds = 3;
double seconds_since(clock_type::time_point t) { return std::chrono::duration<double>(clock_type::now() - t).count(); }
double median(std::vector<double> v) {
    std::ranges::sort(v);
    return v[v.size() / 2];
}

ledger::gift_command gift(int payer, route_id route) {
    ledger::gift_command g;
    g.key = uuid::make_v7(system_clock_source().now_ms());
    g.payer = user_id(payer);
    g.route = route;
    g.price = 10'000;
    g.item = 11;
    g.quantity = 1;
    g.room = room_id(1);
    return g;
}

// Keeps `window` gifts on their way for `seconds`.
awaitable<void> sender(ledger::posting_queue& queue, route_id route, int first, clock_type::time_point until, std::atomic<std::int64_t>& done) {
    for (int i = first; clock_type::now() < until; i += 7) {
        auto r = co_await queue.post(gift(1 + i % senders, route));
        if (r && r->state == ledger::status::posted) ++done;
    }
}
double queue_rate(cores& all, ledger::posting_queue& queue, route_id route, double seconds, int window) {
    std::atomic<std::int64_t> done{0};
    const auto start = clock_type::now();
    const auto until = start + std::chrono::milliseconds(static_cast<int>(seconds * 1000));
    std::vector<std::future<void>> all_senders;
    for (int i = 0; i < window; ++i) all_senders.push_back(asio::co_spawn(all.at(0).context, sender(queue, route, i, until, done), asio::use_future));
    for (auto& f : all_senders) f.get();
    return static_cast<double>(done) / seconds_since(start);
}
// Offers `rate` gifts a second; the 99th percentile of queue to answer, in ms.
double p99_at(cores& all, ledger::posting_queue& queue, route_id route, int rate, double seconds) {
    std::mutex mutex;
    std::vector<double> times;
    const auto start = clock_type::now();
    const int n = static_cast<int>(rate * seconds);
    std::vector<std::future<void>> sent;
    for (int i = 0; i < n; ++i) {
        std::this_thread::sleep_until(start + std::chrono::microseconds(1'000'000LL * i / rate));
        sent.push_back(asio::co_spawn(all.at(0).context, [](ledger::posting_queue& q, route_id r, int k, std::mutex& m, std::vector<double>& to) -> awaitable<void> {
            const auto from = clock_type::now();
            co_await q.post(gift(1 + k % senders, r));
            const auto ms = seconds_since(from) * 1000;
            std::scoped_lock lock(m);
            to.push_back(ms);
        }(queue, route, i, mutex, times), asio::use_future));
    }
    for (auto& f : sent) f.get();
    std::ranges::sort(times);
    return times[times.size() * 99 / 100];
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
                const auto from = std::to_string(1 + i % senders);
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
    for (const auto& p : people) db.as_owner("update ledger.balance set amount = amount + 1000000000000 where account_id = (select wallet_account from ledger.wallet where user_id = " + std::to_string(p.user().id()) + ")");
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
}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    crypto::start();
    log::start("error");
    const auto binary = std::filesystem::path(argv[0]).parent_path() / "ovation";
    const double seconds = argc > 1 ? std::stod(argv[1]) : 4;
    test::database db;
    db.as_owner("create schema textbook; create table textbook.account (id int primary key, amount bigint not null check (id >= 2000 or amount >= 0)); create table textbook.transfer (key uuid primary key);"
                "create table textbook.posting (id bigserial primary key, key uuid references textbook.transfer, account int references textbook.account, amount bigint); create index on textbook.posting (account);"
                "insert into textbook.account select g, 1000000000000 from generate_series(1, 1000) g union all select g, 0 from generate_series(2000, 2002) g;"
                "grant usage on schema textbook to ovation_app; grant all on all tables in schema textbook to ovation_app; grant all on all sequences in schema textbook to ovation_app");
    system_clock_source clock;
    metrics registry;
    std::vector<double> queue_rates, p99s, wire_rates, textbook[3];
    const int clients[3] = {1, 8, 32};
    {
        cores all(1, db.app(), 2);
        ledger::posting_queue queue({db.app(), "bench"}, clock, registry);
        all.start();
        queue.start();
        for (int i = 0; i < 2'000 && !queue.is_writer(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        const auto wait = [&](auto body) { return asio::co_spawn(all.at(0).context, std::move(body), asio::use_future).get(); };
        db.as_owner("select ledger.open_wallet(u) from generate_series(1, 1000) u; update ledger.wallet set daily_limit = 1000000000000000");
        for (int u = 1; u <= senders; ++u)
            (void)wait(queue.post(ledger::entry_command{"topup", "t" + std::to_string(u), {{"cash:sandbox", -1'000'000'000'000}, {"wallet:" + std::to_string(u), 1'000'000'000'000}}, "", "{}"}));
        ledger::split_question q;
        q.licensed_song = true;
        q.contract = ledger::policy{"contract", 1, "", 1000};
        const auto route = wait(ledger::intern_route(all.at(0).db, *ledger::resolve(q), {user_id(5000), user_id(5001), channel_id(1)})).value();
        for (int round = 0; round < rounds; ++round) {
            queue_rates.push_back(queue_rate(all, queue, route, seconds, 8'000));
            for (int k = 0; k < 3; ++k) textbook[k].push_back(textbook_rate(db.app(), clients[k], seconds / 2));
            p99s.push_back(p99_at(all, queue, route, 1'000, seconds / 2));
        }
        queue.stop(std::chrono::seconds(5));
        all.at(0).context.stop();
        all.join();
    }
    for (int round = 0; round < 1; ++round) wire_rates.push_back(wire_rate(binary, db, seconds));
    double best = 0;
    for (auto& t : textbook) best = std::max(best, median(t));
    const auto spread = [](std::vector<double> v) { return fmt::format("{:.0f} ({:.0f} … {:.0f})", median(v), *std::ranges::min_element(v), *std::ranges::max_element(v)); };
    std::cout << "gifts/s, median (least … most) of " << rounds << " rounds\n"
              << "queue              " << spread(queue_rates) << '\n'
              << "wire               " << spread(wire_rates) << '\n'
              << "textbook 1         " << spread(textbook[0]) << "\ntextbook 8         " << spread(textbook[1]) << "\ntextbook 32        " << spread(textbook[2]) << '\n'
              << fmt::format("p99 at 1 000/s     {:.2f} ms\nqueue / best textbook {:.1f}\n", median(p99s), median(queue_rates) / best);
    std::filesystem::create_directories("var/bench");
    std::ofstream("var/bench/gifts.json") << fmt::format(R"({{"gifts_per_s_queue":{:.0f},"gifts_per_s_wire":{:.0f},"p99_ms_at_1k":{:.2f},"ratio_textbook_best":{:.2f}}})", median(queue_rates), median(wire_rates), median(p99s), median(queue_rates) / best) << '\n';
    return 0;
}
