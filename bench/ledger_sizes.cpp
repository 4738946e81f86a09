// What a gift costs as the books grow: from 10 thousand to 10 million wallets, and from 1 to 20 million gifts on disk. CPU, not
// wall time, beside COPY of the same rows at the same moment. Writes var/bench/ledger_sizes.json and a plot of it.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "bench/load.hpp"
#include "bench/posting.hpp"

using namespace ovation;
using namespace ovation::bench;

namespace {
constexpr double seconds = 3;

struct point {
    std::int64_t size = 0;
    double postgres_us = 0, server_us = 0, copy_us = 0, gifts_per_s = 0;
    [[nodiscard]] double cost_us() const { return postgres_us + server_us; }
    [[nodiscard]] double rows_of_copy() const { return postgres_us / copy_us; }
};
class series {
public:
    series(std::string n, std::string w) : name(std::move(n)), what(std::move(w)) {}
    std::string name, what;
    std::vector<point> points;
    // How much the dearest costs more than the cheapest: in microseconds, and in rows of COPY at the same moment, which takes the
    // machine's changes out.
    [[nodiscard]] double spread() const { return spread_of(&point::cost_us); }
    [[nodiscard]] double spread_beside_copy() const { return spread_of(&point::rows_of_copy); }

private:
    [[nodiscard]] double spread_of(double (point::*of)() const) const {
        const auto [low, high] = std::ranges::minmax(points, {}, of);
        return (high.*of)() / (low.*of)() - 1;
    }
};

// Wallets with coins, made in bulk: only what a gift needs, the coins are in no journal.
void make_wallets(const test::database& db, std::int64_t from, std::int64_t to) {
    for (auto at = from; at <= to; at += 500'000) {
        const auto range = "generate_series(" + std::to_string(at) + ", " + std::to_string(std::min(to, at + 499'999)) + ") u";
        db.as_owner("set session_replication_role = replica; set synchronous_commit = off;"
                    "insert into ledger.account (name, kind, owner_id, floored, whole_coins) select k || ':' || u, k, u, true, true from " + range + ", unnest(array['wallet', 'gift_only', 'bonus']) k;"
                    "insert into ledger.balance (account_id, floored, whole_coins, amount) select a.id, true, true, case when a.kind = 'wallet' then 1000000000000 else 0 end from ledger.account a"
                    "  left join ledger.balance b on b.account_id = a.id where b.account_id is null;"
                    "insert into ledger.wallet (user_id, wallet_account, gift_only_account, bonus_account, daily_limit)"
                    "  select owner_id, min(id) filter (where kind = 'wallet'), min(id) filter (where kind = 'gift_only'), min(id) filter (where kind = 'bonus'), 1000000000000000"
                    "  from ledger.account where id > coalesce((select max(bonus_account) from ledger.wallet), 0) and kind in ('wallet', 'gift_only', 'bonus') group by owner_id");
    }
}

// The middle of three by cost, each with COPY beside it.
point measure(const hall& h, writer& w, ceiling& top, route_id route, const offer& what, std::int64_t size) {
    std::vector<point> all;
    for (int i = 0; i < 3; ++i) {
        const auto r = w.post(h, route, what);
        const auto c = top.copy(h, seconds / 3);
        all.push_back({size, r.cpu_us_postgres, r.cpu_us_server, c.cpu_us_postgres, r.gifts_per_s});
    }
    std::ranges::sort(all, {}, &point::cost_us);
    const auto& p = all[1];
    std::cout << fmt::format("{:>10}  PostgreSQL {:5.1f} µs, server {:4.1f} µs, COPY {:4.1f} µs, {:6.0f} gifts/s", size, p.postgres_us, p.server_us, p.copy_us, p.gifts_per_s) << std::endl;
    return p;
}

std::string short_number(std::int64_t n) { return n >= 1'000'000 ? std::to_string(n / 1'000'000) + " M" : std::to_string(n / 1'000) + " k"; }

// A panel each: size on a logarithmic axis, microseconds upwards.
std::string plot(const std::vector<series>& all) {
    constexpr double width = 360, height = 220, left = 46, top = 34, gap = 30;
    std::string out = fmt::format(R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.0f} 310" font-family="sans-serif" font-size="11">)"
                                  R"(<rect width="100%" height="100%" fill="#fff"/>)", left + (width + gap + left) * static_cast<double>(all.size()) - left);
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto& s = all[i];
        const double x0 = left + static_cast<double>(i) * (width + gap + left);
        double most = 0;
        for (const auto& p : s.points) most = std::max(most, p.cost_us());
        const double scale = most * 1.15, first = std::log10(s.points.front().size), last = std::log10(s.points.back().size);
        const auto x = [&](const point& p) { return x0 + (last > first ? (std::log10(p.size) - first) / (last - first) : 0) * width; };
        const auto y = [&](double us) { return top + height - us / scale * height; };
        out += fmt::format(R"(<text x="{:.0f}" y="18" font-size="13">{}</text>)", x0, s.name);
        for (int k = 0; k <= 4; ++k)
            out += fmt::format(R"(<line x1="{0:.1f}" x2="{1:.1f}" y1="{2:.1f}" y2="{2:.1f}" stroke="#ddd"/><text x="{3:.1f}" y="{4:.1f}" text-anchor="end">{5:.0f} µs</text>)", x0, x0 + width, y(scale * k / 4), x0 - 4,
                               y(scale * k / 4) + 4, scale * k / 4);
        for (const auto& p : s.points) out += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)", x(p), top + height + 16, short_number(p.size));
        double legend = x0;
        for (const auto& [name, colour, of] : {std::tuple<const char*, const char*, double (*)(const point&)>{"PostgreSQL + server", "#b3123f", [](const point& p) { return p.cost_us(); }},
                                               {"PostgreSQL", "#1f5fa8", [](const point& p) { return p.postgres_us; }}, {"COPY alone", "#777", [](const point& p) { return p.copy_us; }}}) {
            std::string line;
            for (const auto& p : s.points) line += fmt::format("{:.1f},{:.1f} ", x(p), y(of(p)));
            out += fmt::format(R"(<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>)", line, colour);
            for (const auto& p : s.points) out += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}"/>)", x(p), y(of(p)), colour);
            out += fmt::format(R"(<text x="{:.0f}" y="{:.0f}" fill="{}">{}</text>)", legend, top + height + 40, colour, name);
            legend += 125;
        }
    }
    return out + "</svg>\n";
}
}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    crypto::start();
    log::start("error");
    const std::int64_t wallets_max = argc > 1 ? std::stoll(argv[1]) : 10'000'000, gifts_max = argc > 2 ? std::stoll(argv[2]) : 20'000'000;
    const auto mode = offer{.seconds = seconds, .in_flight = 2'000};
    series active("wallets, 10 000 of them active", "active"), cold("wallets, all of them in turn", "cold"), rows("gifts on disk", "gifts");
    {
        test::database db;
        const hall h(db);
        ceiling top(db);
        const auto route = make_route(db);
        std::int64_t made = 0;
        for (std::int64_t n = 10'000; n <= wallets_max; n *= 10) {
            make_wallets(db, made + 1, n);
            made = n;
            db.as_owner("vacuum (analyze) ledger.account");
            db.as_owner("vacuum (analyze) ledger.balance");
            db.as_owner("vacuum (analyze) ledger.wallet");
            db.as_owner("checkpoint");
            auto some = mode;
            some.wallets = n;
            {
                writer w(db, false);
                w.post(h, route, some);  // the wallets come in
                std::cout << "10 000 active of ";
                active.points.push_back(measure(h, w, top, route, some, n));
            }
            writer w(db, false);
            auto all = some;
            all.active = n;
            std::cout << "    all in turn of ";
            cold.points.push_back(measure(h, w, top, route, all, n));
        }
    }
    {
        test::database db;
        const hall h(db);
        ceiling top(db);
        const auto route = make_route(db);
        make_wallets(db, 1, wallets_of_bench);
        writer w(db, false);
        for (std::int64_t n : {1'000'000, 2'000'000, 5'000'000, 10'000'000, 20'000'000}) {
            if (n > gifts_max) break;
            while (db.number("select seq from ledger.head") < n) w.post(h, route, mode);
            // The late indexes of a leaf that has just become full are made behind, once: not in one of the points.
            for (int i = 0; i < 600 && db.number("select count(*) from ledger.gift_leaf l where l.closed_at is not null and not exists (select from pg_indexes x where x.schemaname = 'ledger' and x.indexname = l.name || '_route')") > 0; ++i)
                std::this_thread::sleep_for(std::chrono::milliseconds(500));
            std::cout << "  gifts on disk  ";
            rows.points.push_back(measure(h, w, top, route, mode, n));
        }
    }
    std::string json;
    for (const auto* s : {&active, &cold, &rows}) {
        std::string points;
        for (const auto& p : s->points)
            points += fmt::format(R"({}{{"size":{},"cpu_us_postgres":{:.2f},"cpu_us_server":{:.2f},"cpu_us_copy":{:.2f},"gifts_per_s":{:.0f}}})", points.empty() ? "" : ",", p.size, p.postgres_us, p.server_us, p.copy_us, p.gifts_per_s);
        json += fmt::format(R"({}"{}":{{"spread":{:.3f},"spread_beside_copy":{:.3f},"points":[{}]}})", json.empty() ? "" : ",", s->what, s->spread(), s->spread_beside_copy(), points);
        std::cout << fmt::format("{}: the dearest costs {:.0f} % more than the cheapest; PostgreSQL's part in rows of COPY {:.0f} %\n", s->name, s->spread() * 100, s->spread_beside_copy() * 100);
    }
    std::filesystem::create_directories("var/bench");
    std::ofstream("var/bench/ledger_sizes.json") << "{" << json << "}\n";
    std::ofstream("var/bench/ledger_sizes.svg") << plot({active, cold, rows});
}
