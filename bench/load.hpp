// What the benches of money share: a textbook's way, and gifts through the wire.
#pragma once
#include "base/money.hpp"
#include "tests/support/database.hpp"

namespace ovation::bench {
inline constexpr int senders_of_textbook = 1'000;
// Schema `textbook`: accounts 1 … 1 000 with coins, 2 000 … 2 002 for a singer, an agent, the platform.
void make_textbook(const test::database& db);
// Gifts a second of so many clients, each a transaction per gift with row locks.
double textbook_rate(const std::string& conninfo, int clients, double seconds);
// Gifts a second through `binary serve`: socket, commit, reply.
double wire_rate(const std::string& binary, const test::database& db, double seconds);
// From a sender's socket to another listener's, `rate` gifts a second over so many rooms; `lost`: never seen, or refused.
struct seen_times {
    double p50_ms = 0, p99_ms = 0, rate = 0;
    std::int64_t seen = 0, lost = 0;
};
seen_times tap_to_seen(const std::string& binary, const test::database& db, int rooms, int rate, double seconds);
double seconds_since(std::chrono::steady_clock::time_point t);
double median(std::vector<double> v);
}  // namespace ovation::bench
