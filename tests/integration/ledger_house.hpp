// A ledger of its own for a test case: database, queue, one core.
#pragma once
#include <boost/asio/use_future.hpp>
#include <future>

#include "ledger/audit.hpp"
#include "ledger/posting_queue.hpp"
#include "ledger/routes.hpp"
#include "ledger/split.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/database.hpp"

namespace ovation::ledger {

struct ledger_house {
    ledger_house() : queue({db.app(), "test", "Asia/Shanghai", 20'000, 4'000}, clock, registry), all(1, db.app(), 2) {
        all.start();
        queue.start();
        for (int i = 0; i < 500 && !queue.is_writer(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ~ledger_house() {
        queue.stop(std::chrono::seconds(5));
        all.at(0).context.stop();
        all.join();
    }
    // Until the rows have what the writer has in memory.
    void settle() {
        for (int i = 0; i < 500 && db.number("select count(*) from ledger.head h, ledger.tree_state t where h.checkpoint_seq = h.seq and t.seq = h.seq") != 1; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    template <class T>
    T wait(awaitable<T> body) {
        return asio::co_spawn(all.at(0).context, std::move(body), asio::use_future).get();
    }
    outcome post(entry_command e) {
        auto r = wait(queue.post(std::move(e)));
        if (!r) throw std::runtime_error(r.error().message);
        return *r;
    }
    outcome post(gift_command g) {
        auto r = wait(queue.post(std::move(g)));
        if (!r) throw std::runtime_error(r.error().message);
        return *r;
    }
    void open(std::int64_t user, std::int64_t coins) {
        if (auto r = wait(open_wallet(all.at(0).db, user_id(user))); !r) throw std::runtime_error(r.error().message);
        if (coins > 0) post({"topup", "topup:" + std::to_string(user), {{"cash:sandbox", -coins * 10'000}, {"wallet:" + std::to_string(user), coins * 10'000}}, "", "{}"});
    }
    route_id route(const split_rule& rule, std::int64_t singer, std::int64_t agent) {
        auto r = wait(intern_route(all.at(0).db, rule, {user_id(singer), user_id(agent), channel_id(1)}));
        if (!r) throw std::runtime_error(r.error().message);
        return *r;
    }
    // What `verify` says, with the checkpoints that somebody kept.
    std::vector<check> verified(std::vector<checkpoint> seals = {}) {
        auto checks = with_books<std::vector<check>>([&](pg::connection& c) { return verify(c, seals); });
        if (!checks) throw std::runtime_error(checks.error().in_full());
        return *checks;
    }
    template <class T, class Work>
    result<T> with_books(Work work) {
        return wait([](pg::pool& p, Work todo) -> awaitable<result<T>> {
            auto lease = co_await p.acquire();
            if (!lease) co_return lease.error();
            co_return co_await todo(**lease);
        }(all.at(0).db, std::move(work)));
    }
    void verify_clean() {
        for (const auto& c : verified()) {
            INFO(c.name << ": " << c.detail << " " << c.count);
            CHECK(c.ok);
        }
    }
    test::database db;
    system_clock_source clock;
    metrics registry;
    posting_queue queue;
    cores all;
};

inline gift_command gift(std::int64_t payer, route_id route, std::int64_t coins) {
    gift_command g;
    g.key = uuid::make_v7(system_clock_source().now_ms());
    g.payer = user_id(payer);
    g.route = route;
    g.price = coins * 10'000;
    g.item = 1;
    g.quantity = 1;
    g.room = room_id(1);
    return g;
}
inline split_rule default_rule() {
    split_question q;
    q.licensed_song = true;
    q.contract = policy{"contract", 1, "", 1000};
    return *resolve(q);
}

}  // namespace ovation::ledger
