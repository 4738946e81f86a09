#include "bench/posting.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/use_future.hpp>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "bench/load.hpp"
#include "ledger/internal/rows.hpp"
#include "ledger/routes.hpp"

namespace ovation::bench {
using clock_type = std::chrono::steady_clock;

namespace {
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

}  // namespace

double p99(std::vector<float>& ms) {
    if (ms.empty()) return 0;
    const auto at = ms.begin() + static_cast<std::ptrdiff_t>(ms.size() * 99 / 100);
    std::ranges::nth_element(ms, at);
    return *at;
}

hall::hall(const test::database& db) : db_(db), postmaster_(static_cast<int>(db.number("select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int"))) {}
double hall::postgres_cpu_s() const { return family_cpu_s(postmaster_); }
double hall::wal() const { return static_cast<double>(db_.number("select (pg_current_wal_insert_lsn() - '0/0')::bigint")); }
double hall::disk(const std::string& schema) const {
    return static_cast<double>(db_.number("select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname = '" + schema + "'"));
}

writer::writer(const test::database& db, bool set_based, std::size_t wallets_max)
    : queue({db.app(), set_based ? "sets" : "resident", "Asia/Shanghai", 20'000, 4'000, {.wallets_max = wallets_max, .set_based = set_based}}, clock, registry) {
    queue.start();
    for (int i = 0; i < 6'000 && !queue.knows_keys(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}
writer::~writer() { queue.stop(std::chrono::seconds(10)); }

run writer::post(const hall& h, route_id route, const offer& what) {
    const int refill = what.in_flight / 5;
    const auto payer = [&](std::int64_t i) { return user_id(1 + i % what.active * (what.wallets / what.active)); };
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
    for (std::int64_t i = 0; seconds_since(start) < what.seconds; ++i) {
        if (what.rate > 0) std::this_thread::sleep_until(start + std::chrono::microseconds(1'000'000 * i / what.rate));
        ledger::gift_command g;
        g.payer = payer(i * 7);
        // One of twenty is sent a second time.
        const bool replay = i % 20 == 19;
        g.key = replay ? recent[static_cast<std::size_t>(i / 20) % recent.size()] : uuid::make_v7(clock.now_ms());
        if (replay) g.payer = payer(payer_of_[g.key]);
        g.route = route;
        g.price = 10'000;
        g.item = 11;
        g.quantity = 1;
        g.room = room_id(1);
        if (i % 20 == 3) {
            if (recent.size() < 5'000) recent.push_back(g.key);
            payer_of_[g.key] = i * 7;
        }
        if (what.rate == 0) {
            std::unique_lock lock(mutex);
            if (on_the_way >= what.in_flight) some_done.wait(lock, [&] { return on_the_way <= what.in_flight - refill; });
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
            if (--on_the_way == what.in_flight - refill || on_the_way == 0) some_done.notify_one();
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

route_id make_route(const test::database& db) {
    ledger::split_question q;
    q.licensed_song = true;
    q.contract = ledger::policy{"contract", 1, "", 1000};
    asio::io_context context(1);
    pg::pool pool(context, db.app(), 1);
    auto made = asio::co_spawn(context, ledger::intern_route(pool, *ledger::resolve(q), {user_id(50'000), user_id(50'001), channel_id(1)}), asio::use_future);
    context.run();
    return made.get().value();
}

ceiling::ceiling(const test::database& db) : db_(db) {
    db.as_owner("create schema ceiling; create table ceiling.gift (like ledger.gift including constraints including defaults);"
                "create unique index on ceiling.gift (seq); create unique index on ceiling.gift (key); grant usage on schema ceiling to ovation_app; grant insert on ceiling.gift to ovation_app");
}
run ceiling::copy(const hall& h, double seconds) {
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
            g.payer = 1 + seq_ * 7 % wallets_of_bench;
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

}  // namespace ovation::bench
