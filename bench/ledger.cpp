// The ledger's writer beside a textbook transaction per gift, the set-based function, and COPY of the same rows into the same
// table and indexes: one interleaved run on one PostgreSQL, one hot singer, 10 000 senders, everything on (checks, keys with 5 %
// replays, balances, tree, fsync). Writes var/bench/ledger.json.
#include <fcntl.h>
#include <libpq-fe.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/use_future.hpp>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <thread>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "bench/load.hpp"
#include "ledger/audit.hpp"
#include "ledger/internal/rows.hpp"
#include "ledger/posting_queue.hpp"
#include "ledger/routes.hpp"

using namespace ovation;
using namespace ovation::bench;
using clock_type = std::chrono::steady_clock;

namespace {
constexpr int senders = 10'000;
int in_flight = 1'000;
constexpr int refill = 200;
constexpr std::size_t copy_batch = 4'000;

double cpu_s(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; }
double process_cpu_s() {
    rusage u{};
    getrusage(RUSAGE_SELF, &u);
    return cpu_s(u.ru_utime) + cpu_s(u.ru_stime);
}
double thread_cpu_s() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}
// CPU of a process and of its children that still run, from /proc; seconds.
double family_cpu_s(int parent) {
    double out = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream in(entry.path() / "stat");
        std::string line;
        if (!std::getline(in, line)) continue;
        std::istringstream fields(line.substr(line.rfind(')') + 2));
        std::string state;
        int ppid = 0;
        fields >> state >> ppid;
        if (ppid != parent && std::stoi(name) != parent) continue;
        std::string skip;
        for (int i = 0; i < 9; ++i) fields >> skip;
        double user = 0, system = 0;
        fields >> user >> system;
        out += (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
    }
    return out;
}

struct run {
    double gifts_per_s = 0, p99_ms = 0, cpu_us_postgres = 0, cpu_us_server = 0, wal_bytes = 0, disk_bytes = 0;
};
double p99(std::vector<float>& ms) {
    if (ms.empty()) return 0;
    const auto at = ms.begin() + static_cast<std::ptrdiff_t>(ms.size() * 99 / 100);
    std::ranges::nth_element(ms, at);
    return *at;
}

class hall {
public:
    explicit hall(const test::database& db) : db_(db) {
        postmaster_ = static_cast<int>(db.number("select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int"));
    }
    [[nodiscard]] double postgres_cpu_s() const { return family_cpu_s(postmaster_); }
    [[nodiscard]] double wal() const { return static_cast<double>(db_.number("select (pg_current_wal_insert_lsn() - '0/0')::bigint")); }
    [[nodiscard]] double disk(const std::string& schema) const {
        return static_cast<double>(db_.number("select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname = '" + schema + "'"));
    }

private:
    const test::database& db_;
    int postmaster_ = 0;
};

// A writer of its own for a while; its queue is driven from the calling thread.
class writer {
public:
    writer(const test::database& db, bool set_based) : queue({db.app(), set_based ? "sets" : "resident", "Asia/Shanghai", 20'000, 4'000, {.wallets_max = 100'000, .set_based = set_based}}, clock, registry) {
        queue.start();
        for (int i = 0; i < 6'000 && !queue.knows_keys(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ~writer() { queue.stop(std::chrono::seconds(10)); }

    // rate 0: `in_flight` gifts always on their way; else so many a second are offered.
    run post(const hall& h, route_id route, double seconds, int rate) {
        std::vector<float> times;
        times.reserve(1 << 20);
        std::mutex mutex;
        std::condition_variable some_done;
        std::vector<uuid> recent;
        int on_the_way = 0;
        std::int64_t posted = 0, other = 0;
        run out;
        const auto wal = h.wal(), disk = h.disk("ledger"), postgres = h.postgres_cpu_s(), process = process_cpu_s(), mine = thread_cpu_s();
        const auto start = clock_type::now();
        for (std::int64_t i = 0; seconds_since(start) < seconds; ++i) {
            if (rate > 0) {
                std::this_thread::sleep_until(start + std::chrono::microseconds(1'000'000 * i / rate));
            }
            ledger::gift_command g;
            g.payer = user_id(1 + (i * 7) % senders);
            // One of twenty is sent a second time.
            const bool replay = i % 20 == 19;
            g.key = replay ? recent[static_cast<std::size_t>(i / 20) % recent.size()] : uuid::make_v7(clock.now_ms());
            if (replay) g.payer = user_id(1 + payer_of_[g.key] % senders);
            g.route = route;
            g.price = 10'000;
            g.item = 11;
            g.quantity = 1;
            g.room = room_id(1);
            if (i % 20 == 3) {
                if (recent.size() < 5'000) recent.push_back(g.key);
                payer_of_[g.key] = (i * 7) % senders;
            }
            if (rate == 0) {
                std::unique_lock lock(mutex);
                if (on_the_way >= in_flight) some_done.wait(lock, [&] { return on_the_way <= in_flight - refill; });
                ++on_the_way;
            } else {
                std::scoped_lock lock(mutex);
                ++on_the_way;
            }
            const auto from = clock_type::now();
            queue.post(std::move(g), [&, from](result<ledger::outcome> r) {
                const auto ms = static_cast<float>(seconds_since(from) * 1000);
                std::scoped_lock lock(mutex);
                times.push_back(ms);
                if (r && r->state == ledger::status::posted) ++posted;
                else if (!r || r->state != ledger::status::replayed) ++other;
                if (--on_the_way == in_flight - refill || on_the_way == 0) some_done.notify_one();
            });
        }
        {
            std::unique_lock lock(mutex);
            some_done.wait(lock, [&] { return on_the_way == 0; });
        }
        const auto took = seconds_since(start);
        const auto n = static_cast<double>(std::max<std::int64_t>(posted, 1));
        out.cpu_us_server = (process_cpu_s() - process - (thread_cpu_s() - mine)) * 1e6 / n;
        out.cpu_us_postgres = (h.postgres_cpu_s() - postgres) * 1e6 / n;
        out.gifts_per_s = static_cast<double>(posted) / took;
        out.wal_bytes = (h.wal() - wal) / n;
        out.disk_bytes = (h.disk("ledger") - disk) / n;
        out.p99_ms = p99(times);
        if (other > 0) std::cerr << other << " commands were refused\n";
        return out;
    }
    template <class T>
    T wait(awaitable<T> body) {
        asio::io_context context(1);
        auto f = asio::co_spawn(context, std::move(body), asio::use_future);
        context.run();
        return f.get();
    }

    system_clock_source clock;
    metrics registry;
    ledger::posting_queue queue;

private:
    std::unordered_map<uuid, std::int64_t> payer_of_;
};

// COPY of such rows into such a table, with its two unique indexes and its checks: a transaction per 4 000.
class ceiling {
public:
    explicit ceiling(const test::database& db) : db_(db) {
        db.as_owner("create schema ceiling; create table ceiling.gift (like ledger.gift including constraints including defaults);"
                    "create unique index on ceiling.gift (seq); create unique index on ceiling.gift (key); grant usage on schema ceiling to ovation_app; grant insert on ceiling.gift to ovation_app");
    }
    run copy(const hall& h, double seconds) {
        std::unique_ptr<PGconn, void (*)(PGconn*)> c(PQconnectdb(db_.app().c_str()), &PQfinish);
        // The rows are made before the clock runs.
        std::vector<std::string> batches;
        for (int i = 0; i < static_cast<int>(seconds * 60); ++i) {
            auto& rows = batches.emplace_back(ledger::copy_head());
            for (std::size_t k = 0; k < copy_batch; ++k) {
                ledger::gift_row g;
                g.seq = ++seq_;
                g.key = uuid::make_v7(system_clock_source().now_ms());
                g.at_us = system_clock_source().now_ms() * 1000;
                g.payer = 1 + seq_ * 7 % senders;
                g.route = 1;
                g.item = 11;
                g.room = 1;
                g.price = 10'000;
                g.legs = {566, 472, 4'717, 943, 0, 3'302, 0};
                g.quantity = 1;
                ledger::copy_row(rows, g);
            }
            ledger::copy_end(rows);
        }
        const auto wal = h.wal(), disk = h.disk("ceiling"), postgres = h.postgres_cpu_s();
        const auto start = clock_type::now();
        const std::string sql = "copy ceiling.gift (" + std::string(ledger::gift_columns) + ") from stdin (format binary)";
        double n = 0;
        for (const auto& b : batches) {
            if (seconds_since(start) > seconds) break;
            PQclear(PQexec(c.get(), sql.c_str()));
            PQputCopyData(c.get(), b.data(), static_cast<int>(b.size()));
            PQputCopyEnd(c.get(), nullptr);
            for (auto* r = PQgetResult(c.get()); r; r = PQgetResult(c.get())) {
                if (PQresultStatus(r) != PGRES_COMMAND_OK) std::cerr << PQresultErrorMessage(r);
                PQclear(r);
            }
            n += copy_batch;
        }
        run out;
        out.gifts_per_s = n / seconds_since(start);
        out.cpu_us_postgres = (h.postgres_cpu_s() - postgres) * 1e6 / n;
        out.wal_bytes = (h.wal() - wal) / n;
        out.disk_bytes = (h.disk("ceiling") - disk) / n;
        return out;
    }

private:
    const test::database& db_;
    std::int64_t seq_ = 0;
};

// What the disk does without a ledger: 8 kB written and synced, a thousand times a second; p50 and p99 in milliseconds.
std::pair<double, double> raw_sync(double seconds) {
    const auto at = std::string(std::getenv("DEV_TEST_PG")) + "/bench.sync";
    const int fd = ::open(at.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const std::string page(8'192, 'x');
    constexpr int pages = 2'048;
    for (int i = 0; i < pages; ++i) (void)!::pwrite(fd, page.data(), page.size(), i * 8'192);
    ::fsync(fd);
    std::vector<float> times;
    const auto start = clock_type::now();
    for (int i = 0; seconds_since(start) < seconds; ++i) {
        std::this_thread::sleep_until(start + std::chrono::milliseconds(i));
        const auto from = clock_type::now();
        (void)!::pwrite(fd, page.data(), page.size(), i % pages * 8'192);
        ::fdatasync(fd);
        times.push_back(static_cast<float>(seconds_since(from) * 1000));
    }
    ::close(fd);
    std::filesystem::remove(at);
    const auto late = p99(times);
    std::ranges::nth_element(times, times.begin() + std::ssize(times) / 2);
    return {times[times.size() / 2], late};
}

struct figures {
    std::vector<double> rate, p99, cpu_pg, cpu_server, wal, disk;
    void add(const run& r) {
        rate.push_back(r.gifts_per_s);
        p99.push_back(r.p99_ms);
        cpu_pg.push_back(r.cpu_us_postgres);
        cpu_server.push_back(r.cpu_us_server);
        wal.push_back(r.wal_bytes);
        disk.push_back(r.disk_bytes);
    }
    void print(const char* name) const {
        std::cout << fmt::format("{:<18}{:>9.0f} {:>9.0f} … {:<9.0f}{:>9.2f}{:>9.1f}{:>9.1f}{:>9.0f}{:>9.0f}\n", name, median(rate), *std::ranges::min_element(rate), *std::ranges::max_element(rate),
                                 median(p99), median(cpu_pg), median(cpu_server), median(wal), median(disk));
    }
};
}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    crypto::start();
    log::start("error");
    const double seconds = argc > 1 ? std::stod(argv[1]) : 4;
    if (argc > 3) in_flight = std::stoi(argv[3]);
    const int rounds = argc > 2 ? std::stoi(argv[2]) : 3;
    const auto binary = std::filesystem::path(argv[0]).parent_path() / "ovation";
    test::database db;
    make_textbook(db);
    const hall h(db);
    ceiling top(db);
    db.as_owner("select ledger.open_wallet(u) from generate_series(1, " + std::to_string(senders) + ") u; update ledger.wallet set daily_limit = 1000000000000000");
    route_id route;
    {
        writer w(db, false);
        std::atomic<int> left = senders;
        for (int u = 1; u <= senders; ++u)
            w.queue.post(ledger::entry_command{"topup", "t" + std::to_string(u), {{"cash:sandbox", -1'000'000'000'000}, {"wallet:" + std::to_string(u), 1'000'000'000'000}}, "", "{}"},
                         [&](const auto&) { --left; });
        while (left > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        ledger::split_question q;
        q.licensed_song = true;
        q.contract = ledger::policy{"contract", 1, "", 1000};
        asio::io_context context(1);
        pg::pool pool(context, db.app(), 1);
        auto made = asio::co_spawn(context, ledger::intern_route(pool, *ledger::resolve(q), {user_id(50'000), user_id(50'001), channel_id(1)}), asio::use_future);
        context.run();
        route = made.get().value();
    }
    figures resident, sets, copied, textbook[3];
    std::vector<double> at_1k, at_20k, sync_p50, sync_p99;
    const int clients[3] = {1, 8, 32};
    for (int round = 0; round < rounds; ++round) {
        {
            writer w(db, false);
            w.post(h, route, 0.5, 0);  // the wallets come in
            resident.add(w.post(h, route, seconds, 0));
            at_1k.push_back(w.post(h, route, seconds / 2, 1'000).p99_ms);
            at_20k.push_back(w.post(h, route, seconds / 2, 20'000).p99_ms);
            const auto [half, late] = raw_sync(seconds / 2);
            sync_p50.push_back(half);
            sync_p99.push_back(late);
        }
        copied.add(top.copy(h, seconds));
        {
            writer w(db, true);
            sets.add(w.post(h, route, seconds / 2, 0));
        }
        for (int k = 0; k < 3; ++k) {
            run r;
            r.gifts_per_s = textbook_rate(db.app(), clients[k], seconds / 2);
            textbook[k].add(r);
        }
    }
    const auto gifts = db.number("select count(*) from ledger.gift");
    const auto started = clock_type::now();
    bool clean = false;
    {
        asio::io_context context(1);
        auto checked = asio::co_spawn(context, [](asio::io_context& c, std::string where) -> awaitable<bool> {
            pg::connection conn(c);
            if (!co_await conn.open(where, std::chrono::seconds(5))) co_return false;
            const auto checks = co_await ledger::verify(conn);
            if (!checks) std::cerr << checks.error().in_full() << '\n';
            if (!checks) co_return false;
            for (const auto& one : *checks)
                if (!one.ok) std::cerr << one.name << ": " << one.detail << '\n';
            co_return std::ranges::all_of(*checks, &ledger::check::ok);
        }(context, db.app()), asio::use_future);
        context.run();
        clean = checked.get();
    }
    const auto verify_s = seconds_since(started) * 1e6 / static_cast<double>(gifts);
    const auto wire = wire_rate(binary, db, seconds);

    double best = 0;
    for (const auto& t : textbook) best = std::max(best, median(t.rate));
    std::cout << fmt::format("{} rounds; {} gifts in the journal\n", rounds, gifts)
              << "                   gifts/s  (least … most)        p99 ms   PG µs/g  srv µs/g   WAL B  disk B\n";
    resident.print("resident writer");
    copied.print("COPY, the ceiling");
    sets.print("set-based");
    textbook[0].print("textbook 1");
    textbook[1].print("textbook 8");
    textbook[2].print("textbook 32");
    std::cout << fmt::format("of COPY {:.2f}, of the best textbook {:.0f}; WAL {:.2f} and disk {:.2f} of COPY's\n", median(resident.rate) / median(copied.rate), median(resident.rate) / best,
                             median(resident.wal) / median(copied.wal), median(resident.disk) / median(copied.disk))
              << fmt::format("p99 at 1 000/s {:.2f} ms, at 20 000/s {:.2f} ms; the disk alone, 1 000 syncs a second: p50 {:.2f}, p99 {:.2f} ms\n", median(at_1k), median(at_20k), median(sync_p50), median(sync_p99))
              << fmt::format("verify {:.2f} s per million ({})\nwire {:.0f} gifts/s\n", verify_s, clean ? "clean" : "NOT CLEAN", wire);
    std::filesystem::create_directories("var/bench");
    std::ofstream("var/bench/ledger.json") << fmt::format(
        R"({{"gifts_per_s":{:.0f},"p99_ms":{:.2f},"p99_ms_at_20k":{:.2f},"p99_ms_at_1k":{:.2f},"raw_sync_ms_p50":{:.2f},"raw_sync_ms_p99":{:.2f},"ratio_textbook_best":{:.1f},"ratio_copy":{:.3f},"wal_ratio_copy":{:.3f},"disk_ratio_copy":{:.3f},)"
        R"("cpu_us_per_gift_postgres":{:.2f},"cpu_us_per_gift_server":{:.2f},"wal_bytes_per_gift":{:.0f},"disk_bytes_per_gift":{:.0f},"verify_s_per_million":{:.2f},"gifts_per_s_wire":{:.0f},)"
        R"("gifts_per_s_set_based":{:.0f},"gifts_per_s_copy":{:.0f},"gifts_per_s_textbook_1":{:.0f},"gifts_per_s_textbook_8":{:.0f},"gifts_per_s_textbook_32":{:.0f},"verify_clean":{}}})",
        median(resident.rate), median(resident.p99), median(at_20k), median(at_1k), median(sync_p50), median(sync_p99), median(resident.rate) / best, median(resident.rate) / median(copied.rate),
        median(resident.wal) / median(copied.wal), median(resident.disk) / median(copied.disk), median(resident.cpu_pg), median(resident.cpu_server), median(resident.wal), median(resident.disk),
        verify_s, wire, median(sets.rate), median(copied.rate), median(textbook[0].rate), median(textbook[1].rate), median(textbook[2].rate), clean) << '\n';
    return clean ? 0 : 1;
}
