// Connections and their pool against a real PostgreSQL: what one use leaves behind does not reach the next.
#include <boost/asio/use_future.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/database.hpp"

namespace pg_test {
using namespace ovation;

const pg::statement begin_snapshot{"t_begin", "begin isolation level repeatable read read only"};
const pg::statement write{"t_write", "insert into t values (1)"};
const pg::statement count{"t_count", "select count(*) from t"};
const pg::statement wrong{"t_wrong", "select 1 / count(*) from t"};
constexpr auto patience = std::chrono::seconds(10);

struct house {
    explicit house(std::size_t connections = 2) : all(1, db_.app(), connections) { all.start(); }
    ~house() {
        all.at(0).context.stop();
        all.join();
    }
    template <class T>
    T wait(awaitable<T> body) {
        return asio::co_spawn(all.at(0).context, std::move(body), asio::use_future).get();
    }
    pg::pool& db() { return all.at(0).db; }
    void as_owner(const std::string& sql) { db_.as_owner(sql); }
    std::int64_t number(const std::string& sql) { return db_.number(sql); }

private:
    test::database db_;
    cores all;
};

TEST_CASE("pg: a lease that ends inside a transaction, or in one that failed, is rolled back and harms no later one") {
    house h(1);
    h.as_owner("create table t (n int); grant all on t to ovation_app");
    const auto leave = [&](bool writes, bool fails) {
        return h.wait([](pg::pool& p, bool w, bool f) -> awaitable<bool> {
            auto held = co_await p.acquire();
            if (!held) co_return false;
            if (w) {
                auto begun = co_await held->begin();
                auto put = co_await (*held)->query(write, {}, patience);
                if (!begun || !put) co_return false;
            } else {
                auto begun = co_await (*held)->query(begin_snapshot, {}, patience);
                auto read = co_await (*held)->query(count, {}, patience);
                if (!begun || !read) co_return false;
            }
            if (f) {
                auto bad = co_await (*held)->query(wrong, {}, patience);
                co_return !bad;
            }
            co_return true;
        }(h.db(), writes, fails));
    };
    const auto rows = [&] {
        const auto r = h.wait(h.db().query(count, {}));
        REQUIRE(r);
        return r->number(0, 0);
    };
    CHECK(leave(true, false));
    CHECK(rows() == 0);
    CHECK(leave(false, true));
    CHECK(rows() == 0);
    CHECK(leave(false, false));
    h.as_owner("insert into t values (2)");
    CHECK(rows() == 1);
    CHECK(h.wait(h.db().query(write, {})));
    CHECK(rows() == 2);
    CHECK(leave(true, false));
    CHECK(rows() == 2);
}

TEST_CASE("pg: a statement that nobody waits for any more ends") {
    house h;
    static const pg::statement sleep{"t_sleep", "select pg_sleep(600)"};
    CHECK_FALSE(h.wait(h.db().query(sleep, {}, std::chrono::milliseconds(200))));
    const auto running = [&] { return h.number("select count(*) from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(600)%' and pid <> pg_backend_pid()"); };
    for (int i = 0; i < 200 && running() != 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(running() == 0);
}

TEST_CASE("pg: a connection does not compile its statements: planning by guesses cost an idle server most of a core") {
    house h;
    static const pg::statement jit{"t_jit", "show jit"};
    CHECK(h.wait(h.db().query(jit, {}))->string(0, 0) == "off");
}

TEST_CASE("pg: a statement that was refused when it first ran can be run again on its connection") {
    house h;
    const auto said = h.wait([](pg::pool& p) -> awaitable<result<std::vector<std::string>>> {
        static const pg::statement divide{"t_divide", "select 6 / $1::int"}, late{"t_late", "select 7"};
        constexpr auto limit = std::chrono::seconds(10);
        std::vector<std::string> out;
        auto held = co_await p.acquire();
        if (!held) co_return held.error();
        const auto refused = co_await (*held)->query(divide, pg::with(0), limit);
        out.emplace_back(refused ? "" : pg::sqlstate(refused.error()));
        OVATION_CO_TRY(const auto six, co_await (*held)->query(divide, pg::with(1), limit));
        out.push_back(six.string(0, 0));
        // One that was never parsed, as another failed before it, is parsed the next time.
        std::vector<pg::request> both;
        both.push_back({&divide, pg::with(0)});
        both.push_back({&late, {}});
        out.emplace_back(co_await (*held)->run(std::move(both), limit) ? "ran" : "refused");
        OVATION_CO_TRY(const auto seven, co_await (*held)->query(late, {}, limit));
        out.push_back(seven.string(0, 0));
        co_return out;
    }(h.db()));
    REQUIRE(said);
    CHECK(*said == std::vector<std::string>{"22012", "6", "refused", "7"});
}

}  // namespace pg_test
