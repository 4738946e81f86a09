// What the benches of the ledger share: the writer under load, and COPY of such rows into such a table, the ceiling.
#pragma once
#include <unordered_map>
#include <vector>

#include "ledger/posting_queue.hpp"
#include "tests/support/database.hpp"

namespace ovation::bench {

inline constexpr int wallets_of_bench = 10'000;

// Per gift, but for rate and time; CPU of PostgreSQL is that of all its processes, the server's is this process's less the load's thread.
struct run {
    double gifts_per_s = 0, p99_ms = 0, cpu_us_postgres = 0, cpu_us_server = 0, wal_bytes = 0, disk_bytes = 0;
};
double p99(std::vector<float>& ms);

// The PostgreSQL on which a bench runs.
class hall {
public:
    explicit hall(const test::database& db);
    [[nodiscard]] double postgres_cpu_s() const;
    [[nodiscard]] double wal() const;
    [[nodiscard]] double disk(const std::string& schema) const;

private:
    const test::database& db_;
    int postmaster_ = 0;
};

// Who gives: `active` of the wallets 1 … `wallets`, spread evenly over them, in turn. rate 0: `in_flight` gifts always on their
// way; else so many a second are offered. One gift of twenty is sent a second time.
struct offer {
    double seconds = 3;
    int rate = 0, in_flight = 1'000;
    std::int64_t active = wallets_of_bench, wallets = wallets_of_bench;
};

// A writer of its own for a while; its queue is driven from the calling thread.
class writer {
public:
    writer(const test::database& db, bool set_based, std::size_t wallets_max = 100'000);
    ~writer();
    run post(const hall& h, route_id route, const offer& what);

    system_clock_source clock;
    metrics registry;
    ledger::posting_queue queue;

private:
    std::unordered_map<uuid, std::int64_t> payer_of_;
};
// A route by which a gift is split four ways.
route_id make_route(const test::database& db);

// COPY of such rows into such a table, with its two unique indexes and its checks: a transaction per 4 000.
class ceiling {
public:
    explicit ceiling(const test::database& db);
    run copy(const hall& h, double seconds);

private:
    const test::database& db_;
    std::int64_t seq_ = 0;
};

}  // namespace ovation::bench
