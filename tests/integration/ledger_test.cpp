// The posting queue against a plain sequential model: random gifts with replays, conflicts and overdrafts.
#include "tests/support/catch.hpp"
#include <boost/asio/use_future.hpp>
#include <future>
#include <map>
#include <random>
#include <semaphore>

#include "ledger/audit.hpp"
#include "ledger/posting_queue.hpp"
#include "ledger/routes.hpp"
#include "ledger/split.hpp"
#include "tests/integration/ledger_house.hpp"

namespace ledger_test {
using namespace ovation;
using namespace ovation::ledger;

using books = ledger_house;

TEST_CASE("ledger: each refusal by its name, in its precedence") {
    books b;
    b.open(1, 100);
    b.open(2, 0);
    const auto r = b.route(default_rule(), 7, 9);
    CHECK(b.post(gift(1, r, 0)).state == status::invalid);
    CHECK(b.post(gift(99, r, 1)).state == status::unknown_account);
    CHECK(b.post(gift(1, route_id(404), 1)).state == status::unknown_route);
    CHECK(b.post(gift(2, r, 1)).state == status::insufficient_coins);
    CHECK(b.post(gift(1, r, 101)).state == status::insufficient_coins);
    auto known = gift(1, r, 10);
    const auto first = b.post(known);
    CHECK(first.state == status::posted);
    CHECK(first.paid == 90 * 10'000);
    CHECK(b.post(known).state == status::replayed);
    CHECK(b.post(known).seq == first.seq);
    for (const int change : {0, 1, 2, 3}) {
        auto other = known;
        if (change == 0) other.price += 10'000;
        if (change == 1) other.quantity = 2;
        if (change == 2) other.room = room_id(2);
        if (change == 3) other.payer = user_id(2);
        CHECK(b.post(other).state == status::key_reused);
    }
    auto lookup = gift(1, r, 10);
    lookup.lookup_only = true;
    CHECK(b.post(lookup).state == status::refused_by_caller);
    known.lookup_only = true;
    CHECK(b.post(known).state == status::replayed);
    b.db.as_owner("update ledger.wallet set frozen = true where user_id = 1");
    CHECK(b.post(gift(1, r, 1)).state == status::account_frozen);
    CHECK(b.post(gift(1, r, 91)).state == status::insufficient_coins);
    b.db.as_owner("update ledger.wallet set frozen = false, daily_limit = 200000 where user_id = 1");
    CHECK(b.post(gift(1, r, 10)).state == status::posted);  // 20 of 20 today
    CHECK(b.post(gift(1, r, 1)).state == status::spend_limit);
    b.verify_clean();
}

TEST_CASE("ledger: entries replay, conflict, and may not take what is not there") {
    books b;
    b.open(1, 5);
    const entry_command out{"adjustment", "k1", {{"wallet:1", -30'000}, {"suspense", 30'000}}, "case:1", "{}"};
    CHECK(b.post(out).state == status::posted);
    CHECK(b.post(out).state == status::replayed);
    auto other = out;
    other.legs = {{"wallet:1", -20'000}, {"suspense", 20'000}};
    CHECK(b.post(other).state == status::key_reused);
    other.key = "k2";
    other.legs = {{"wallet:1", -30'000}, {"suspense", 30'000}};
    CHECK(b.post(other).state == status::insufficient_coins);
    CHECK_THROWS(b.post(entry_command{"adjustment", "k3", {{"wallet:1", -10'000}, {"suspense", 9'999}}, "", "{}"}));
    CHECK_THROWS(b.post(entry_command{"adjustment", "k4", {{"suspense", -5'000}, {"wallet:1", 5'000}}, "", "{}"}));  // half a coin
    b.verify_clean();
}

TEST_CASE("ledger: spend order is bonus, gift-only, paid; the bonus part returns to promo") {
    books b;
    b.open(1, 100);
    b.post({"promo", "p", {{"promo", -300'000}, {"bonus:1", 300'000}}, "", "{}"});
    b.post({"noble", "n", {{"platform", -200'000}, {"gift_only:1", 200'000}}, "", "{}"});
    const auto r = b.route(default_rule(), 7, 9);
    auto o = b.post(gift(1, r, 20));
    CHECK((o.bonus == 100'000 && o.gift_only == 200'000 && o.paid == 1'000'000));
    o = b.post(gift(1, r, 40));
    CHECK((o.bonus == 0 && o.gift_only == 0 && o.paid == 900'000));
    b.verify_clean();
}

TEST_CASE("ledger: the application's role can neither change, delete, insert nor truncate what is posted") {
    books b;
    b.open(1, 10);
    b.post(gift(1, b.route(default_rule(), 7, 9), 1));
    for (const char* sql : {"update ledger.gift set price = 1", "delete from ledger.gift", "truncate ledger.gift", "update ledger.entry set kind = 'promo'", "delete from ledger.entry",
                            "insert into ledger.entry (seq, kind, key, at, accounts, amounts) values (99, 'marker', 'x', now(), '{}', '{}')", "update ledger.balance set amount = 1",
                            "update ledger.head set seq = 0", "create table ledger.mine ()", "update ledger.split_rule set vat_bp = 0", "alter table ledger.gift disable trigger all",
                            "select ledger.open_account('wallet:66')", "select ledger.make_leaf(1)"})
        CHECK_THROWS(b.db.as_app(sql));
    // The owner meets the triggers.
    for (const char* sql : {"update ledger.gift set price = 1", "delete from ledger.gift", "truncate ledger.gift", "delete from ledger.entry", "truncate ledger.entry"}) CHECK_THROWS(b.db.as_owner(sql));
    b.verify_clean();
}

TEST_CASE("ledger: PostgreSQL splits by every preset, with and without agent, licence and bonus, as C++ does") {
    books b;
    b.open(1, 100'000);
    b.post({"promo", "p", {{"promo", -123'450'000}, {"bonus:1", 123'450'000}}, "", "{}"});
    std::int64_t singer = 100, gifts = 0;
    for (const auto& preset : preset_names())
        for (const bool licensed : {false, true})
            for (const int agent_bp : {0, 1, 999, 1'000, agent_rate_max_bp}) {
                split_question q;
                q.preset = preset;
                q.licensed_song = licensed;
                if (agent_bp > 0) q.contract = policy{"contract", singer, "", agent_bp};
                const auto rule = resolve(q);
                if (!rule) {  // a preset may leave less to an agent
                    CHECK(agent_bp == agent_rate_max_bp);
                    continue;
                }
                const auto r = b.route(*rule, ++singer, agent_bp > 0 ? 9 : 0);
                for (const std::int64_t coins : {1, 3, 7, 13, 188, 520}) {
                    REQUIRE(b.post(gift(1, r, coins)).state == status::posted);
                    ++gifts;
                }
            }
    CHECK(gifts >= static_cast<std::int64_t>(preset_names().size()) * 2 * 4 * 6);
    b.verify_clean();  // its "split" makes every gift's legs again with split()
}

TEST_CASE("ledger: verify finds each kind of thing that was changed behind its back, and names it") {
    struct tampering {
        const char* what;
        const char* sql;
    };
    for (const auto& t : {tampering{"split", "update ledger.gift set singer = singer - 1, platform = platform + 1"},
                          tampering{"balances", "update ledger.balance set amount = amount + 10000 where account_id = (select wallet_account from ledger.wallet where user_id = 1)"},
                          tampering{"balances", "update ledger.balance set version = version + 1 where account_id = (select wallet_account from ledger.wallet where user_id = 1)"},
                          tampering{"numbers", "update ledger.gift set seq = seq + 5"},
                          tampering{"numbers", "delete from ledger.gift"},
                          tampering{"numbers", "update ledger.head set seq = seq + 1"},
                          tampering{"keys", "insert into ledger.gift select (g).* from (select jsonb_populate_record(g, jsonb_build_object('seq', (select seq + 1 from ledger.head))) as g from ledger.gift g) x"},
                          tampering{"sums", "alter table ledger.gift drop constraint gift_sum_zero; update ledger.gift set singer = singer + 1"},
                          tampering{"sums", "alter table ledger.entry drop constraint entry_sum_zero; update ledger.entry set amounts[1] = amounts[1] - 1"},
                          tampering{"floors", "update ledger.entry set amounts = array[-10000, 10000]"},
                          tampering{"coins", "alter table ledger.balance drop constraint balance_whole_coins; update ledger.balance set amount = amount + 1 where account_id = (select wallet_account from ledger.wallet where user_id = 1)"},
                          tampering{"total", "update ledger.balance set amount = amount + 10000 where account_id = (select wallet_account from ledger.wallet where user_id = 1)"},
                          tampering{"spend", "update ledger.balance set spent = spent + 1 where spent > 0"}}) {
        books b;
        b.open(1, 10);
        b.post(gift(1, b.route(default_rule(), 7, 9), 2));
        b.settle();
        INFO(t.what << ": " << t.sql);
        // As superuser, past triggers and unique indexes.
        b.db.as_owner("do $$ declare l record; begin for l in select indexrelid::regclass as i from pg_index where indrelid in (select inhrelid from pg_inherits where inhparent = 'ledger.gift'::regclass) loop execute 'drop index ' || l.i; end loop; end $$");
        b.db.as_owner(std::string("set session_replication_role = replica; ") + t.sql);
        const auto checks = b.wait([](pg::pool& p) -> awaitable<result<std::vector<check>>> {
            auto lease = co_await p.acquire();
            if (!lease) co_return lease.error();
            co_return co_await verify(**lease);
        }(b.all.at(0).db));
        REQUIRE(checks);
        const auto named = std::ranges::find(*checks, t.what, &check::name);
        REQUIRE(named != checks->end());
        CHECK_FALSE(named->ok);
    }
}

TEST_CASE("ledger: rows that lie elsewhere than they were posted are the same books; what is gone is missed") {
    const auto gifts = GENERATE(12'000, 115'000);  // the rest waits for those that are late; more of it than may wait
    std::atomic<int> left = gifts;  // before the books: their queue answers into these
    std::counting_semaphore<> room(10'000);
    books b;
    b.open(1, 1'000'000'000);
    b.db.as_owner("update ledger.wallet set daily_limit = 1000000000000000");
    const auto route = b.route(default_rule(), 7, 9);
    for (int i = 0; i < gifts; ++i) {
        REQUIRE(room.try_acquire_for(std::chrono::seconds(30)));
        b.queue.post(gift(1, route, 1), [&](const auto& r) {
            if (r && r->state == status::posted) --left;
            room.release();
        });
    }
    for (int i = 0; i < 3'000 && left > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    REQUIRE(left == 0);
    b.settle();
    const std::string as_superuser = "set session_replication_role = replica; ";
    b.db.as_owner(as_superuser + "update ledger.gift set quantity = quantity where seq between 3 and 40");
    CHECK(b.db.number("select count(*) from ledger.gift g, ledger.gift h where g.seq = 40 and h.seq = 41 and g.ctid > h.ctid") == 1);
    b.verify_clean();
    b.db.as_owner(as_superuser + "delete from ledger.gift where seq = 11000");
    const auto checks = b.verified();
    const auto numbers = std::ranges::find(checks, "numbers", &check::name);
    REQUIRE(numbers != checks.end());
    CHECK(numbers->detail == "for example 11001 stands where 11000 should");
}

TEST_CASE("ledger: a leaf is made beside a reader of all the books, and gifts go on; it is as guarded as the first") {
    books b;
    b.open(1, 100);
    const auto r = b.route(default_rule(), 7, 9);
    b.post(gift(1, r, 1));
    const auto leaves = [&] { return b.db.number("select count(*) from ledger.gift_leaf"); };
    for (int i = 0; i < 1'000 && leaves() < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    REQUIRE(leaves() == 3);  // those that the writer makes itself, ahead of need
    const std::unique_ptr<PGconn, void (*)(PGconn*)> reader(PQconnectdb(b.db.app().c_str()), &PQfinish);
    for (const char* sql : {"begin isolation level repeatable read read only", "select count(*) from ledger.gift"}) PQclear(PQexec(reader.get(), sql));
    REQUIRE(PQtransactionStatus(reader.get()) == PQTRANS_INTRANS);
    b.db.as_owner("set lock_timeout = '5s'; select ledger.make_leaf(1000)");
    CHECK(b.post(gift(1, r, 1)).state == status::posted);
    CHECK(PQtransactionStatus(reader.get()) == PQTRANS_INTRANS);
    CHECK(leaves() == 4);
    const std::string newest = "(select name from ledger.gift_leaf order by first_seq desc limit 1)";
    for (const char* what : {"pg_constraint where contype = 'c' and conrelid", "pg_trigger where tgrelid", "pg_index where indisunique and indrelid"}) {
        INFO(what);
        const auto of = [&](const std::string& leaf) { return b.db.number(std::string("select count(*) from ") + what + " = ('ledger.' || " + leaf + ")::regclass"); };
        CHECK(of("'gift_1'") > 0);
        CHECK(of(newest) == of("'gift_1'"));
    }
    b.verify_clean();
}

TEST_CASE("ledger: a second writer fences the first") {
    books b;
    b.open(1, 100);
    const auto r = b.route(default_rule(), 7, 9);
    int refused = 0;
    for (int i = 0; i < 20 && refused == 0; ++i) {  // an idle writer looks now and then, and takes over again
        b.db.as_owner("update ledger.head set writer_epoch = writer_epoch + 1");
        const auto answer = b.wait(b.queue.post(gift(1, r, 1)));
        if (answer) continue;
        ++refused;
        CHECK(answer.error().reason == "not_the_writer");
    }
    CHECK(refused == 1);
    b.verify_clean();
}

TEST_CASE("ledger: rows are saved by the writer that holds the head, and an older truth does not overwrite a newer one") {
    books b;
    b.open(1, 100);
    b.post(gift(1, b.route(default_rule(), 7, 9), 30));
    b.settle();
    const auto row = [&](const char* what) { return b.db.number(std::string("select ") + what + " from ledger.balance where account_id = (select wallet_account from ledger.wallet where user_id = 1)"); };
    CHECK((row("amount") == 700'000 && row("version") == 2 && row("spent") == 300'000 && row("as_of_seq") == 2));
    const auto save = [&](std::int64_t epoch, std::int64_t as_of) {
        b.db.as_app("select ledger.save(" + std::to_string(epoch) + ", array[" + std::to_string(row("account_id")) + "], array[10000], array[9], array[0], array[0], " + std::to_string(as_of) + ")");
    };
    save(b.queue.epoch(), 1);
    CHECK((row("amount") == 700'000 && row("version") == 2 && row("spent") == 300'000));
    CHECK_THROWS(save(b.queue.epoch() + 1, 2));
    CHECK_THROWS(save(b.queue.epoch() - 1, 2));
    b.verify_clean();
}

TEST_CASE("ledger: a new day has its whole limit, and a day's spending counts while it lasts") {
    books b;
    b.open(1, 100);
    const auto r = b.route(default_rule(), 7, 9);
    b.db.as_owner("update ledger.wallet set daily_limit = 200000 where user_id = 1");
    CHECK(b.post(gift(1, r, 20)).state == status::posted);
    CHECK(b.post(gift(1, r, 1)).state == status::spend_limit);
    b.settle();
    // As if it had been given yesterday, to a writer that begins today.
    const auto epoch = b.queue.epoch();
    b.db.as_owner("update ledger.balance set spent_day = spent_day - 1 where spent_day > 0; update ledger.head set writer_epoch = writer_epoch + 1");
    for (int i = 0; i < 1'000 && b.queue.epoch() <= epoch; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(b.post(gift(1, r, 21)).state == status::spend_limit);
    CHECK(b.post(gift(1, r, 19)).state == status::posted);
    CHECK(b.post(gift(1, r, 2)).state == status::spend_limit);
    CHECK(b.post(gift(1, r, 1)).state == status::posted);
    b.settle();
    CHECK(b.db.number("select spent from ledger.spent where user_id = 1") == 200'000);
}

TEST_CASE("ledger: random commands agree with a sequential model") {
    const auto seed = std::random_device()();
    INFO("seed " << seed);
    std::mt19937 dice(seed);
    const auto roll = [&](int most) { return std::uniform_int_distribution<int>(0, most - 1)(dice); };
    books b;
    constexpr int users = 20, commands = 4'000;
    std::map<std::int64_t, std::int64_t> coins;
    for (int u = 1; u <= users; ++u) {
        coins[u] = roll(400);
        b.open(u, coins[u]);
    }
    std::vector<route_id> routes;
    const auto rule = default_rule();
    for (int s = 0; s < 3; ++s) routes.push_back(b.route(rule, 100 + s, 200));
    std::map<std::string, gift_command> sent;
    std::map<std::int64_t, std::int64_t> singer_micros;
    std::vector<gift_command> done;
    std::int64_t mismatches = 0, posted = 0, refused = 0, replayed = 0, reused = 0;

    // In waves, so that batches form; within a wave the queue keeps the order of submission.
    for (int sent_count = 0; sent_count < commands;) {
        std::vector<std::future<result<outcome>>> answers;
        std::vector<std::pair<status, std::int64_t>> expected;  // state, paid after
        for (int k = 0, n = 1 + roll(200); k < n; ++k, ++sent_count) {
            gift_command g;
            status want = status::posted;
            const int what = roll(100);
            if (what < 20 && !done.empty()) {
                g = done[static_cast<std::size_t>(roll(static_cast<int>(done.size())))];
                want = status::replayed;
            } else if (what < 23 && !done.empty()) {
                g = done[static_cast<std::size_t>(roll(static_cast<int>(done.size())))];
                g.price += 10'000;
                want = status::key_reused;
            } else {
                const int singer = roll(3);
                g = gift(1 + roll(users), routes[static_cast<std::size_t>(singer)], 1 + roll(40));
                const auto need = g.price / 10'000;
                if (coins[g.payer.value] < need) want = status::insufficient_coins;
                else {
                    coins[g.payer.value] -= need;
                    singer_micros[singer] += split(g.price, 0, rule).singer;
                    done.push_back(g);
                }
            }
            expected.emplace_back(want, coins[g.payer.value] * 10'000);
            answers.push_back(asio::co_spawn(b.all.at(0).context, b.queue.post(g), asio::use_future));
        }
        for (std::size_t i = 0; i < answers.size(); ++i) {
            const auto got = answers[i].get();
            if (!got || got->state != expected[i].first) {
                if (++mismatches <= 3) UNSCOPED_INFO("expected " << static_cast<int>(expected[i].first) << ", got " << (got ? std::to_string(static_cast<int>(got->state)) : got.error().message));
            }
            else if (got->state == status::posted && got->paid != expected[i].second) {
                if (++mismatches <= 3) UNSCOPED_INFO("paid " << got->paid << ", expected " << expected[i].second << " at " << i << " of " << answers.size() << " seq " << got->seq.value);
            }
            if (!got) continue;
            posted += got->state == status::posted;
            refused += got->state == status::insufficient_coins;
            replayed += got->state == status::replayed;
            reused += got->state == status::key_reused;
        }
    }
    CHECK(mismatches == 0);
    CHECK(posted > 0);
    CHECK(refused > 0);
    CHECK(replayed > 0);
    CHECK(reused > 0);
    for (int s = 0; s < 3; ++s) {
        const pg::statement balance{"t", "select amount from ledger.standing b join ledger.account a on a.id = b.account_id where a.name = $1"};
        const auto row = b.wait(b.all.at(0).db.query(balance, pg::with("earnings:" + std::to_string(100 + s))));
        CHECK(row->number(0, 0) == singer_micros[s]);
    }
    b.verify_clean();
}

}  // namespace ledger_test
