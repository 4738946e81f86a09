// Gifts per second: the posting queue, beside a textbook transaction per gift with row locks, in one interleaved run; and
// through the wire. Writes var/bench/gifts.json.
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
#include "bench/load.hpp"

using namespace ovation;
using namespace ovation::bench;
using clock_type = std::chrono::steady_clock;

namespace {
constexpr int senders = 1'000;
constexpr int rounds = 3;
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

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    crypto::start();
    log::start("error");
    const auto binary = std::filesystem::path(argv[0]).parent_path() / "ovation";
    const double seconds = argc > 1 ? std::stod(argv[1]) : 4;
    test::database db;
    make_textbook(db);
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
    db.as_owner("checkpoint");
    wire_rates.push_back(wire_rate(binary, db, seconds));
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
