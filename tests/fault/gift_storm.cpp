// Many clients, replays, conflicts, wallets that run dry, and, if asked, kill -9 of the server under that load. At the end:
// nothing acknowledged is lost, nothing is doubled, nothing is shown that is not in the books, and the books are clean.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/log.hpp"
#include "base/uuid.hpp"
#include "ovation/v1/auth.pb.h"
#include "ovation/v1/channel.pb.h"
#include "ovation/v1/payment.pb.h"
#include "ovation/v1/room.pb.h"
#include "server/client.hpp"
#include "tests/support/database.hpp"

using namespace ovation;

namespace {

class server_process {
public:
    server_process(std::string binary, std::string database, std::string redis) : binary_(std::move(binary)), database_(std::move(database)), redis_(std::move(redis)) { start("0"); }
    ~server_process() { end(SIGTERM); }
    void start(const std::string& port) {
        int out[2];
        if (pipe(out) != 0) throw std::runtime_error("pipe");
        pid_ = fork();
        if (pid_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            dup2(out[1], 1);
            close(out[0]);
            execl(binary_.c_str(), "ovation", "serve", "--demo", "--load-profile", "--log-level", "error", "--port", port.c_str(), "--database", database_.c_str(), "--redis", redis_.c_str(), "--web-root", "", "--sandbox-key", "storm",
                  static_cast<char*>(nullptr));
            _exit(127);
        }
        close(out[1]);
        std::string line;
        char c = 0;
        while (read(out[0], &c, 1) == 1 && c != '\n') line += c;
        close(out[0]);
        const auto colon = line.rfind(':');
        if (!line.starts_with("listening") || colon == std::string::npos) throw std::runtime_error("the server did not start: " + line);
        port_ = line.substr(colon + 1);
    }
    void end(int with) {
        if (pid_ <= 0) return;
        kill(pid_, with);
        waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }
    void restart() {
        end(SIGKILL);
        start(port_);
    }
    [[nodiscard]] client::address where() const { return {"127.0.0.1", port_}; }

private:
    std::string binary_, database_, redis_, port_;
    pid_t pid_ = 0;
};

template <class T>
T must(result<T> r, const std::string& what) {
    if (!r) throw std::runtime_error(what + ": " + r.error().message);
    return std::move(*r);
}

struct person {
    std::string token;
    std::int64_t id = 0;
};
person make_person(const client::address& to, const std::string& handle) {
    client::rpc c(to);
    v1::RegisterRequest r;
    r.set_handle(handle);
    r.set_display_name(handle);
    r.set_password("storm-password");
    auto made = must(c.call<v1::LogInResponse>("AuthService/Register", r), handle);
    return {made.access_token(), made.user().id()};
}

struct acknowledged {
    std::string key;
    std::int64_t seq, coins;
};

struct storm {
    std::mutex mutex;
    std::vector<acknowledged> acks;
    std::map<std::string, int> refusals;
    std::atomic<std::int64_t> wrong{0}, unanswered{0};
    std::atomic<bool> over{false};
};

int check(bool good, const std::string& sentence) {
    std::cout << (good ? "ok    " : "WRONG ") << sentence << '\n';
    return good ? 0 : 1;
}
}  // namespace

int main(int argc, char** argv) {
    CLI::App app("gift storm");
    std::string binary;
    int gifts = 10'000, clients = 200, kills = 0;
    app.add_option("--ovation", binary)->required();
    app.add_option("--gifts", gifts);
    app.add_option("--clients", clients);
    app.add_option("--kills", kills);
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGPIPE, SIG_IGN);
    crypto::start();
    log::start("error");
    const auto seed = std::random_device()();
    std::cout << "seed " << seed << '\n';

    test::database db;
    const auto redis_socket = std::string(std::getenv("DEV_TEST_PG")) + "/redis.sock";
    const auto redis = "unix:" + redis_socket;
    server_process server(binary, db.app(), redis);
    const auto to = server.where();
    const auto agent = make_person(to, "storm-agent"), singer = make_person(to, "storm-singer");
    db.as_owner("update identity.users set roles = roles | 24 where subject in ('storm-agent', 'storm-singer')");
    const auto log_in = [&](const std::string& handle) {
        client::rpc c(to);
        v1::LogInRequest r;
        r.set_handle(handle);
        r.set_password("storm-password");
        return must(c.call<v1::LogInResponse>("AuthService/LogIn", r), handle).access_token();
    };
    client::rpc a(to), s(to);
    a.token = log_in("storm-agent");
    s.token = log_in("storm-singer");
    v1::CreateChannelRequest channel;
    channel.set_name("storm");
    const auto made_channel = must(a.call<v1::Channel>("ChannelService/CreateChannel", channel), "channel");
    v1::CreateRoomRequest room_request;
    room_request.set_channel_id(made_channel.id());
    room_request.set_name("storm");
    room_request.set_singer_handle("storm-singer");
    const auto room = must(a.call<v1::Room>("RoomService/CreateRoom", room_request), "room");
    v1::OpenShowRequest open;
    open.set_room_id(room.id());
    must(s.call<v1::Room>("RoomService/OpenShow", open), "show");

    // The singer stays on stage, or the show would end 90 s after a restart.
    storm st;
    std::vector<person> people;
    {
        std::mutex m;
        std::vector<std::thread> makers;
        std::atomic<int> next{0};
        for (int t = 0; t < 8; ++t)
            makers.emplace_back([&] {
                for (int i = next++; i < clients; i = next++) {
                    auto p = make_person(to, "storm-" + std::to_string(i));
                    client::rpc c(to);
                    c.token = p.token;
                    v1::CreateTopUpRequest order;
                    order.set_key(uuid::make_v7(system_clock_source().now_ms()).text());
                    order.set_pack_id(1);  // 600 coins: some run dry
                    order.set_provider("sandbox");
                    const auto o = must(c.call<v1::TopUp>("PaymentService/CreateTopUp", order), "order");
                    v1::PaySandboxOrderRequest pay;
                    pay.set_order_id(o.order_id());
                    must(c.call<v1::TopUp>("PaymentService/PaySandboxOrder", pay), "pay");
                    std::scoped_lock lock(m);
                    people.push_back(std::move(p));
                }
            });
        for (auto& t : makers) t.join();
    }
    db.as_owner("update identity.users set show_on_boards = true");

    // One listener watches the room the whole time, resuming whenever it is cut off.
    std::vector<std::int64_t> shown;
    std::thread listener([&] {
        std::string epoch;
        std::uint64_t offset = 0;
        std::int64_t seq = 0;
        int quiet = 0;
        while (quiet < 3) {
            try {
                client::live socket(to);
                v1::ClientFrame f;
                f.set_request_id(1);
                f.mutable_enter()->set_room_id(room.id());
                f.mutable_enter()->set_no_media(true);
                if (!epoch.empty()) {
                    auto& r = *f.mutable_enter()->mutable_resume();
                    r.set_epoch(epoch);
                    r.set_offset(offset);
                    r.set_entry_seq(seq);
                }
                socket.send(f);
                std::int64_t ping_at = 0;
                while (quiet < 3) {
                    auto got = socket.next(1'000);
                    if (st.over && !got) ++quiet;
                    if (const auto now = system_clock_source().steady_ms(); now > ping_at) {
                        v1::ClientFrame ping;
                        ping.mutable_ping();
                        socket.send(ping);
                        ping_at = now + 10'000;
                    }
                    if (!got) continue;
                    if (got->has_welcome()) {
                        epoch = got->welcome().epoch();
                        offset = got->welcome().offset();
                        if (seq == 0) seq = got->welcome().entry_seq();
                    }
                    if (got->offset() > 0) offset = got->offset();
                    if (got->has_gift()) {
                        shown.push_back(got->gift().entry_seq());
                        seq = std::max(seq, got->gift().entry_seq());
                    }
                }
            } catch (const client::live::closed&) {
            } catch (const std::exception&) {
            }
            if (quiet < 3) std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
    });

    std::atomic<int> budget{gifts};
    std::vector<std::thread> crowd;
    for (int i = 0; i < clients; ++i)
        crowd.emplace_back([&, i] {
            std::mt19937 dice(seed + static_cast<unsigned>(i));
            const auto roll = [&](int most) { return std::uniform_int_distribution<int>(0, most - 1)(dice); };
            client::rpc c(to);
            c.token = people[static_cast<std::size_t>(i)].token;
            std::vector<std::pair<v1::SendGiftRequest, acknowledged>> done;
            while (budget-- > 0) {
                v1::SendGiftRequest g;
                g.set_room_id(room.id());
                g.set_gift_id(11);  // 1 coin
                g.set_quantity(roll(6) == 0 ? 66 : roll(3) == 0 ? 10 : 1);
                g.set_price_version(1);
                g.set_key(uuid::make_v7(system_clock_source().now_ms()).text());
                const acknowledged* before = nullptr;
                bool conflict = false;
                if (const int what = roll(100); what < 22 && !done.empty()) {
                    const auto& old = done[static_cast<std::size_t>(roll(static_cast<int>(done.size())))];
                    g = old.first;
                    before = &old.second;
                    if (what >= 20) {
                        conflict = true;
                        g.set_quantity(g.quantity() == 1 ? 10 : 1);
                    }
                }
                // An unknown outcome is resolved with the same key until it is known.
                for (int attempt = 0;; ++attempt) {
                    if (attempt > 400) {
                        ++st.unanswered;
                        break;
                    }
                    try {
                        auto r = c.call<v1::SendGiftResponse>("GiftService/SendGift", g);
                        if (r) {
                            if (conflict) ++st.wrong;
                            if (before && (r->entry_seq() != before->seq || r->coins() != before->coins)) ++st.wrong;
                            if (!before) {
                                acknowledged ack{g.key(), r->entry_seq(), r->coins()};
                                std::scoped_lock lock(st.mutex);
                                st.acks.push_back(ack);
                                done.emplace_back(g, ack);
                            }
                            break;
                        }
                        if (!r.error().retryable) {
                            if (conflict ? r.error().reason != "key_reused" : before != nullptr) ++st.wrong;
                            std::scoped_lock lock(st.mutex);
                            ++st.refusals[r.error().reason];
                            break;
                        }
                    } catch (const std::exception&) {
                        // the server was killed: nobody knows whether it was paid
                    }
                    std::this_thread::sleep_for(std::chrono::milliseconds(20));
                }
            }
        });
    const auto started = std::chrono::steady_clock::now();
    for (int k = 0; k < kills && budget > 0; ++k) {
        const int until = gifts - (k + 1) * gifts / (kills + 2);
        for (int waited = 0; budget > until && waited < 24'000; ++waited) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        server.restart();
    }
    for (auto& t : crowd) t.join();
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    st.over = true;
    listener.join();

    // What the books say.
    const std::string dump_command = binary + " ledger dump --database '" + db.app() + "' 2>/dev/null";
    std::map<std::int64_t, std::string> book_key;
    std::map<std::int64_t, std::int64_t> paid;
    std::int64_t below_zero = 0;
    {
        std::unique_ptr<FILE, int (*)(FILE*)> in(popen(dump_command.c_str(), "r"), &pclose);
        char line[512];
        while (std::fgets(line, sizeof line, in.get())) {
            char kind[32], key[64], account[64];
            long long seq = 0, version = 0, amount = 0, balance = 0;
            if (std::sscanf(line, "%lld %31s %63s %63s %lld %lld %lld", &seq, kind, key, account, &version, &amount, &balance) != 7) continue;
            const bool wallet = std::string_view(account).starts_with("wallet:");
            if (wallet && balance < 0) ++below_zero;
            if (std::string_view(kind) != "gift") continue;
            book_key[seq] = key;
            if (wallet) paid[seq] = -amount / 10'000;
        }
    }
    int bad = 0;
    std::set<std::string> keys;
    for (const auto& [seq, key] : book_key) keys.insert(key);
    std::int64_t lost = 0;
    for (const auto& ack : st.acks) lost += !book_key.contains(ack.seq) || book_key[ack.seq] != ack.key || paid[ack.seq] != ack.coins;
    std::set<std::int64_t> seen(shown.begin(), shown.end());
    std::int64_t not_in_books = 0, not_shown = 0;
    for (const auto seq : seen) not_in_books += !book_key.contains(seq);
    for (const auto& [seq, key] : book_key) not_shown += !seen.contains(seq);
    std::cout << "gifts posted " << book_key.size() << ", acknowledged " << st.acks.size() << ", " << static_cast<long>(static_cast<double>(gifts) / seconds) << " commands/s, restarts " << kills << '\n';
    for (const auto& [reason, n] : st.refusals) std::cout << "refused " << reason << ": " << n << '\n';
    bad += check(st.acks.size() > static_cast<std::size_t>(gifts / 4), "many gifts were posted");
    bad += check(st.unanswered == 0, "every command was answered in the end");
    bad += check(st.wrong == 0, "replays gave the first result, conflicts were refused");
    bad += check(st.refusals["key_reused"] > 0 && st.refusals["insufficient_coins"] > 0, "conflicts and dry wallets did happen");
    bad += check(lost == 0, "nothing acknowledged is lost or changed: " + std::to_string(lost));
    bad += check(keys.size() == book_key.size(), "no key was posted twice");
    bad += check(below_zero == 0, "no wallet was ever below zero");
    bad += check(not_in_books == 0, "nothing was shown that is not in the books: " + std::to_string(not_in_books));
    bad += check(not_shown == 0, "the listener saw every gift: " + std::to_string(not_shown) + " missing");
    bad += check(seen.size() == shown.size(), "no gift was shown twice: " + std::to_string(shown.size() - seen.size()));
    const auto verify_command = binary + " ledger verify --database '" + db.app() + "' >/dev/null 2>&1";
    bad += check(std::system(verify_command.c_str()) == 0, "ledger verify is clean");

    // Boards equal the books.
    std::int64_t total = 0;
    for (const auto& [seq, coins] : paid) total += coins;
    v1::GetBoardRequest board;
    board.set_scope(v1::BOARD_SCOPE_ROOM);
    board.set_scope_id(room.id());
    board.set_subject(v1::BOARD_SUBJECT_SINGER);
    board.set_period(v1::BOARD_PERIOD_ALL);
    std::int64_t on_board = 0;
    for (int i = 0; i < 100 && on_board != total; ++i) {
        client::rpc fresh(to);  // the old connection died with its server
        const auto b = must(fresh.call<v1::GetBoardResponse>("GiftService/GetBoard", board), "board");
        on_board = b.rows_size() > 0 ? b.rows(0).coins() : 0;
        if (on_board != total) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    bad += check(on_board == total, "the board has " + std::to_string(on_board) + " coins, the books " + std::to_string(total));
    // The sorted sets of Redis, PostgreSQL while they are empty, and the sets filled again give the same board, ties included.
    const auto sets = [&] { return std::system(("redis-cli -s '" + redis_socket + "' exists ovation:boards | grep -q 1").c_str()) == 0; };
    board.set_subject(v1::BOARD_SUBJECT_SENDER);
    board.set_limit(100);
    const auto read = [&] {
        client::rpc again(to);
        return must(again.call<v1::GetBoardResponse>("GiftService/GetBoard", board), "board");
    };
    bad += check(sets(), "the boards stand in Redis");
    const auto live = read();
    const auto rebuild = binary + " boards rebuild --database '" + db.app() + "' --redis '" + redis + "' >/dev/null 2>&1";
    bad += check(std::system(rebuild.c_str()) == 0 && !sets(), "boards rebuild runs and empties Redis");
    const auto rebuilt = read();
    for (int i = 0; i < 100 && !sets(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto refilled = read();
    std::int64_t listed = 0;
    bool same = live.rows_size() == rebuilt.rows_size() && live.rows_size() == refilled.rows_size() && live.rows_size() == std::min(clients, 100);
    for (int i = 0; same && i < live.rows_size(); ++i) {
        const auto line = live.rows(i).SerializeAsString();
        same = live.rows(i).coins() > 0 && line == rebuilt.rows(i).SerializeAsString() && line == refilled.rows(i).SerializeAsString();
        listed += live.rows(i).coins();
    }
    bad += check(same, "rebuilt and refilled boards equal the live one");
    const auto in_books = db.number("select coalesce(sum(coins), 0)::bigint from (select sum(price) / 10000 as coins from ledger.gift group by payer order by 1 desc limit 100) t");
    bad += check(listed == in_books, "the coins of the hundred supporters that a board shows are those of the books");
    return bad == 0 ? 0 : 1;
}
