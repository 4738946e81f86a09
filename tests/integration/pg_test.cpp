// The pool against a real PostgreSQL: what a lease leaves behind does not reach the next one.
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

TEST_CASE("pg: a lease that ends inside a transaction, or in one that failed, is rolled back and harms no later one") {
    test::database db;
    db.as_owner("create table t (n int); grant all on t to ovation_app");
    cores all(1, db.app(), 1);
    all.start();
    auto& pool = all.db();
    const auto wait = [&](auto body) { return asio::co_spawn(all.at(0).context, std::move(body), asio::use_future).get(); };
    const auto leave = [&](bool writes, bool fails) {
        return wait([](pg::pool& p, bool w, bool f) -> awaitable<bool> {
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
        }(pool, writes, fails));
    };
    const auto rows = [&] {
        const auto r = wait(pool.query(count, {}));
        REQUIRE(r);
        return r->number(0, 0);
    };
    CHECK(leave(true, false));
    CHECK(rows() == 0);
    CHECK(leave(false, true));
    CHECK(rows() == 0);
    CHECK(leave(false, false));
    db.as_owner("insert into t values (2)");
    CHECK(rows() == 1);
    CHECK(wait(pool.query(write, {})));
    CHECK(rows() == 2);
    CHECK(leave(true, false));
    CHECK(rows() == 2);
    all.at(0).context.stop();
    all.join();
}

}  // namespace pg_test
