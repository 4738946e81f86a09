// Many clients, replays, conflicts, wallets that run dry, and, if asked, kill -9 of the server under that load. At the end:
// nothing acknowledged is lost, nothing is doubled, nothing is shown that is not in the books, and the books are clean.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/crypto.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "ovation/v1/channel.pb.h"
#include "ovation/v1/room.pb.h"
#include "tests/fault/crowd.hpp"
#include "tests/fault/processes.hpp"
#include "tests/support/database.hpp"

using namespace ovation;
using namespace ovation::fault_test;

namespace {

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
    client::rpc a(to), s(to);
    a.token = log_in(to, "storm-agent");
    s.token = log_in(to, "storm-singer");
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

    told st;
    std::atomic<bool> over{false};
    const auto people = make_people(to, "storm", clients);
    db.as_owner("update identity.users set show_on_boards = true");

    // One listener watches the room the whole time, resuming whenever it is cut off.
    std::vector<std::int64_t> shown;
    std::vector<std::string> visits;  // what each connection of its was told, for whoever looks for a gap
    // Who was away for more gifts than a room tells again gets the oldest of them and is told to reload.
    std::vector<std::pair<std::int64_t, std::int64_t>> to_reload;
    std::atomic<bool> inside{false};
    std::thread listener([&] {
        std::string epoch;
        std::uint64_t offset = 0;
        std::int64_t seq = 0;
        int quiet = 0, told_again = -1;
        while (quiet < 3) {
            try {
                client::live socket(to);
                v1::ClientFrame f;
                f.set_request_id(1);
                f.mutable_enter()->set_room_id(room.id());
                f.mutable_enter()->set_no_media(true);
                if (!epoch.empty()) {
                    visits.push_back("resume behind " + std::to_string(seq));
                    auto& r = *f.mutable_enter()->mutable_resume();
                    r.set_epoch(epoch);
                    r.set_offset(offset);
                    r.set_entry_seq(seq);
                }
                socket.send(f);
                std::int64_t ping_at = 0;
                while (quiet < 3) {
                    auto got = socket.next(1'000);
                    if (over && !got) ++quiet;
                    if (const auto now = system_clock_source().steady_ms(); now > ping_at) {
                        v1::ClientFrame ping;
                        ping.mutable_ping();
                        socket.send(ping);
                        ping_at = now + 10'000;
                    }
                    if (!got) continue;
                    if (got->has_welcome()) {
                        inside = true;
                        visits.push_back("welcome at " + std::to_string(got->welcome().entry_seq()) + (got->welcome().reload() ? ", reload" : ""));
                        told_again = got->welcome().reload() ? 0 : -1;
                        epoch = got->welcome().epoch();
                        offset = got->welcome().offset();
                        if (seq == 0) seq = got->welcome().entry_seq();
                    }
                    if (got->offset() > 0) offset = got->offset();
                    if (got->has_gift()) {
                        if (shown.empty() || got->gift().entry_seq() != shown.back() + 1) visits.push_back("gift " + std::to_string(got->gift().entry_seq()) + (got->gift().earlier() ? ", earlier" : ""));
                        shown.push_back(got->gift().entry_seq());
                        if (told_again == limits::gifts_told_again_max) to_reload.emplace_back(seq + 1, got->gift().entry_seq() - 1);
                        if (told_again >= 0) ++told_again;
                        seq = std::max(seq, got->gift().entry_seq());
                    }
                }
            } catch (const client::live::closed& c) {
                visits.push_back("closed " + std::to_string(c.code) + " behind " + std::to_string(seq));
            } catch (const std::exception& e) {
                visits.push_back(std::string(e.what()) + " behind " + std::to_string(seq));
            }
            if (quiet < 3) std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
    });

    // What is paid before the listener is in the room is not for it to see.
    for (int waited = 0; !inside && waited < 6'000; ++waited) std::this_thread::sleep_for(std::chrono::milliseconds(5));

    std::atomic<int> budget{gifts};
    load what;
    what.servers = {to};
    what.gift.set_room_id(room.id());
    what.gift.set_price_version(1);
    what.seed = seed;
    what.more = [&] { return budget-- > 0; };
    crowd everybody(what, st, people);
    const auto started = std::chrono::steady_clock::now();
    for (int k = 0; k < kills && budget > 0; ++k) {
        const int until = gifts - (k + 1) * gifts / (kills + 2);
        for (int waited = 0; budget > until && waited < 24'000; ++waited) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        server.restart();
    }
    everybody.join();
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    over = true;
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
    std::int64_t first_missed = 0, last_missed = 0;
    for (const auto& [seq, key] : book_key) {
        if (seen.contains(seq) || std::ranges::any_of(to_reload, [s = seq](const auto& r) { return s >= r.first && s <= r.second; })) continue;
        ++not_shown;
        if (first_missed == 0) first_missed = seq;
        last_missed = seq;
    }
    std::cout << "gifts posted " << book_key.size() << ", acknowledged " << st.acks.size() << ", " << static_cast<long>(static_cast<double>(gifts) / seconds) << " commands/s, restarts " << kills << '\n';
    for (const auto& [reason, n] : st.refusals) std::cout << "refused " << reason << ": " << n << '\n';
    bad += check(st.acks.size() > static_cast<std::size_t>(gifts / 4), "many gifts were posted");
    bad += check(st.unanswered == 0, "every command was answered in the end");
    for (const auto& [kind, example] : st.complaints) std::cout << kind << ": " << example << '\n';
    bad += check(st.wrong == 0, "replays gave the first result, conflicts were refused, no answer contradicted another");
    bad += check(st.refusals["key_reused"] > 0 && st.refusals["insufficient_coins"] > 0, "conflicts and dry wallets did happen");
    bad += check(lost == 0, "nothing acknowledged is lost or changed: " + std::to_string(lost));
    bad += check(keys.size() == book_key.size(), "no key was posted twice");
    bad += check(below_zero == 0, "no wallet was ever below zero");
    bad += check(not_in_books == 0, "nothing was shown that is not in the books: " + std::to_string(not_in_books));
    bad += check(not_shown == 0, "the listener saw every gift, or was told to reload: " + std::to_string(not_shown) + " missing" + (not_shown > 0 ? " of entries " + std::to_string(first_missed) + " to " + std::to_string(last_missed) : ""));
    if (not_shown > 0) for (const auto& v : visits) std::cout << "      " << v << '\n';
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
