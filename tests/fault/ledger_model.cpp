// The posting queue against a sequential model, by random commands of every kind in waves, so that batches form: replays,
// conflicts, refusals, faults, limits that change; connections that are cut and writers that are dropped while COMMITs are on
// their way; tiny memories, tiny leaves. Every answer is compared, and at each crash and the end every account.
// With --set-based: no crashes, and the same commands once more by the set-based functions into a second database.
#include <libpq-fe.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "ledger/audit.hpp"
#include "ledger/posting_queue.hpp"
#include "tests/fault/ledger_commands.hpp"
#include "tests/support/database.hpp"

using namespace ovation;
using namespace std::chrono_literals;
using ledger::status;
using model::order;
using model::step;

namespace {

struct options {
    std::int64_t commands = 100'000, users = 300;
    std::uint64_t seed = 0;
    std::size_t wallets_max = 0;  // 0: each writer another
    bool small_leaves = false, crashes = true, set_based = false, answers = false;
    std::int64_t base_ms = system_clock_source().now_ms();
};

// The owner's connection, kept.
class owner {
public:
    explicit owner(const std::string& conninfo) : raw_(PQconnectdb(conninfo.c_str()), &PQfinish) {}
    std::vector<std::vector<std::string>> ask(const std::string& sql) const {
        const std::unique_ptr<PGresult, void (*)(PGresult*)> r(PQexec(raw_.get(), sql.c_str()), &PQclear);
        const auto state = PQresultStatus(r.get());
        if (state != PGRES_COMMAND_OK && state != PGRES_TUPLES_OK) throw std::runtime_error(sql + ": " + PQerrorMessage(raw_.get()));
        std::vector<std::vector<std::string>> out(static_cast<std::size_t>(PQntuples(r.get())));
        for (std::size_t i = 0; i < out.size(); ++i)
            for (int c = 0; c < PQnfields(r.get()); ++c) out[i].emplace_back(PQgetvalue(r.get(), static_cast<int>(i), c));
        return out;
    }
    [[nodiscard]] std::int64_t number(const std::string& sql) const { return std::stoll(ask(sql).at(0).at(0)); }

private:
    std::unique_ptr<PGconn, void (*)(PGconn*)> raw_;
};

awaitable<void> verify(pg::connection& db, std::string conninfo, std::string& wrong) {
    if (auto opened = co_await db.open(std::move(conninfo), 5s); !opened) {
        wrong = opened.error().message;
        co_return;
    }
    const auto checks = co_await ledger::verify(db);
    if (!checks) wrong = checks.error().in_full();
    else
        for (const auto& c : *checks)
            if (!c.ok) wrong += c.name + " (" + std::to_string(c.count) + " " + c.detail + ") ";
    db.close();
}

// A zone in which it is early morning: no day ends while this runs.
std::string morning(std::int64_t now_ms) {
    const auto hour = now_ms / 3'600'000 % 24;
    auto ahead = (28 - hour) % 24;
    if (ahead > 12) ahead -= 24;
    return ahead == 0 ? "UTC" : "Etc/GMT" + std::string(ahead > 0 ? "-" : "+") + std::to_string(std::abs(ahead));
}

std::string text_of(const ledger::command& c) {
    if (const auto* g = std::get_if<ledger::gift_command>(&c))
        return "gift " + g->key.text() + " by " + std::to_string(g->payer.value) + " route " + std::to_string(g->route.value) + " price " + std::to_string(g->price) + (g->lookup_only ? " lookup" : "");
    const auto& e = std::get<ledger::entry_command>(c);
    auto out = e.kind + " " + e.key + " ref \"" + e.reference + "\"";
    for (const auto& [name, amount] : e.legs) out += " " + name + " " + std::to_string(amount);
    return out;
}
std::string text_of(const model::verdict& v) {
    return v.fault ? "a fault" : "status " + std::to_string(static_cast<int>(v.state)) + " seq " + std::to_string(v.seq) + " coins " + std::to_string(v.paid) + "/" + std::to_string(v.gift_only) + "/" + std::to_string(v.bonus);
}
using answer = std::optional<result<ledger::outcome>>;
std::string text_of(const answer& a) {
    if (!a) return "nothing";
    if (!*a) return "fault " + a->error().reason;
    const auto& o = **a;
    return "status " + std::to_string(static_cast<int>(o.state)) + " seq " + std::to_string(o.seq.value) + " coins " + std::to_string(o.paid) + "/" + std::to_string(o.gift_only) + "/" + std::to_string(o.bonus);
}
// Nothing was decided, or nobody knows: the same key again.
bool open(const answer& a) { return !a || (!*a && a->error().kind != code::internal); }

struct answers {
    std::mutex mutex;
    std::condition_variable came;
    std::vector<answer> got;
    std::size_t left = 0;
};

class trial {
public:
    explicit trial(options o) : o_(o), owner_(db_.owner()), commands_(o.seed, o.users, o.base_ms), chance_(o.seed ^ 0x9e3779b97f4a7c15) {
        commands_.faults_apart = !o.crashes;
        prepare();
    }
    void run() {
        start();
        const auto crash_every = std::max<std::int64_t>(2'000, o_.commands / (18 + o_.commands / 20'000));
        for (std::int64_t next_crash = crash_every / 2; sent_ < o_.commands;) {
            const bool crash = o_.crashes && sent_ >= next_crash;
            if (crash) next_crash += crash_every;
            const auto began = clock_.steady_ms();
            turn(crash);
            (crash ? crashing_ms_ : waves_ms_) += clock_.steady_ms() - began;
            if (crash) inspect(false);
        }
        inspect(false);
        queue_->stop(10s);
        inspect(true);
        if (const auto rows = owner_.number("select count(*) from ledger.head where checkpoint_seq = seq"); rows != 1 && !o_.set_based) throw std::runtime_error("a writer that ended in peace left rows unsaved");
    }
    void report() const {
        std::cout << sent_ << " commands, " << commands_.expected.seq << " posted, " << commands_.expected.accounts.size() << " accounts, " << crashes_ << " crashes, " << doubts_
                  << " answers after a doubt, " << again_ << " sent again, " << inspected_ << " inspections; seconds: waves " << waves_ms_ / 1'000 << ", with crashes "
                  << crashing_ms_ / 1'000 << ", inspections " << inspecting_ms_ / 1'000 << '\n';
    }
    void list() const {
        for (const auto& [what, n] : commands_.counts) std::cout << "  " << what << ": " << n << '\n';
    }
    // What was answered, and all that the books say.
    std::vector<std::string> said;
    std::vector<std::vector<std::string>> contents() const {
        auto out = owner_.ask("select seq, key, payer, route, item, room, performance, price, bonus, gift_only, vat, rights, singer, agent, venue, platform, promo, quantity from ledger.gift order by seq");
        for (const char* more : {"select e.seq, e.kind, e.key, e.amounts, e.reference, e.detail, (select array_agg(a.name order by u.n) from unnest(e.accounts) with ordinality u (id, n) join ledger.account a on a.id = u.id) from ledger.entry e order by e.seq",
                                 "select a.name, s.amount, s.version from ledger.standings s join ledger.account a on a.id = s.account_id where s.version > 0 order by a.name", "select user_id, spent from ledger.spent where spent <> 0 order by user_id"})
            for (auto& row : owner_.ask(more)) out.push_back(std::move(row));
        return out;
    }

private:
    std::int64_t chance(std::int64_t most) { return std::uniform_int_distribution<std::int64_t>(0, most - 1)(chance_); }
    void prepare() {
        owner_.ask("select ledger.open_wallet(u) from generate_series(1, " + std::to_string(o_.users + 1) + ") u");  // the last one gives nothing
        struct made {
            const char* preset;
            model::split_terms terms;
            int agent, venue;
        };
        const std::vector<made> rules{{"default", {false, 600, {500, 5'000, 1'000, 0, 3'500}, 0}, 705, 0},    {"default", {false, 600, {0, 6'000, 0, 0, 4'000}, 0}, 0, 0},
                                      {"gross", {true, 600, {0, 5'000, 0, 0, 5'000}, 0}, 0, 0},                {"odd", {false, 700, {333, 3'333, 3'333, 1'000, 2'001}, 2'500}, 705, 706},
                                      {"kiosk", {false, 0, {1'500, 0, 0, 4'500, 4'000}, 3'333}, 0, 706},       {"untaxed", {true, 0, {1, 9'998, 1, 0, 0}, 0}, 0, 0},
                                      {"dear", {true, 5'000, {77, 1'111, 888, 0, 7'924}, 10'000}, 701, 0}};
        int singer = 701;
        for (const auto& [preset, t, agent, venue] : rules) {
            const auto earner = [](int user) { return user == 0 ? std::string("platform") : "earnings:" + std::to_string(user); };
            model::route r{t, {"earnings:rights", earner(singer), earner(agent), earner(venue), "platform"}};
            std::string sql = "insert into ledger.split_rule (preset, preset_version, source, source_id, gross, vat_bp, rights_bp, singer_bp, agent_bp, venue_bp, platform_bp, bonus_singer_bp) values ('" +
                              std::string(preset) + "', 1, 'preset', 0, " + (t.gross ? "true, " : "false, ") + std::to_string(t.vat);
            for (const auto bp : t.share) sql += ", " + std::to_string(bp);
            const auto rule = owner_.number(sql + ", " + std::to_string(t.bonus_singer) + ") returning id");
            sql = "insert into ledger.route (rule_id, singer_user, channel_id, vat_account, rights_account, singer_account, agent_account, venue_account, platform_account, promo_account) values (" +
                  std::to_string(rule) + ", " + std::to_string(singer) + ", 1, ledger.open_account('vat')";
            for (const auto& name : r.party) sql += ", ledger.open_account('" + name + "')";
            commands_.add_route(owner_.number(sql + ", ledger.open_account('promo')) returning id"), std::move(r));
            singer = singer == 704 ? 701 : singer + 1;
        }
        if (!o_.small_leaves) return;
        // Sixty leaves of a few rows, then leaves as small as the batches on their way allow.
        leaf_rows_ = std::max<std::int64_t>(1'000, o_.commands / 300);
        owner_.ask("do $$ declare l record; begin for l in select name from ledger.gift_leaf loop execute format('drop table ledger.%I', l.name); end loop; delete from ledger.gift_leaf; "
                   "execute replace(pg_get_functiondef('ledger.make_leaf(bigint)'::regprocedure), '5000000', '" + std::to_string(leaf_rows_) + "'); "
                   "for n in 1 .. 60 loop perform ledger.make_leaf(1 + n * 7 % 50); end loop; for n in 1 .. 3 loop perform ledger.make_leaf(); end loop; end $$");
    }
    void start() {
        ledger::queue_options q{db_.app(), "model", morning(o_.base_ms)};
        q.writer.set_based = o_.set_based;
        if (o_.crashes) {
            q.batch_max = std::array<std::size_t, 4>{40, 400, 4'000, 4'000}[static_cast<std::size_t>(chance(4))];
            q.writer.wallets_max = std::array<std::size_t, 3>{8, 50, 200'000}[static_cast<std::size_t>(chance(3))];
            q.writer.copy_from = std::array<std::size_t, 3>{1, 150, 1'000'000}[static_cast<std::size_t>(chance(3))];
            q.writer.lag_ms = chance(2) == 0 ? 5 : 900;
            q.writer.lag_gifts = std::array<std::int64_t, 3>{50, 2'000, 45'000}[static_cast<std::size_t>(chance(3))];
        }
        if (o_.small_leaves) q.batch_max = std::min(q.batch_max, static_cast<std::size_t>(leaf_rows_ / 2));
        if (o_.wallets_max != 0) q.writer.wallets_max = o_.wallets_max;
        metrics_ = std::make_unique<metrics>();
        queue_ = std::make_unique<ledger::posting_queue>(q, clock_, *metrics_);
        queue_->start();
        ++writers_;
    }
    // The writer is gone, with all that it had not saved and all that was on its way.
    void drop(std::chrono::milliseconds patience) {
        queue_->stop(patience);
        queue_.reset();
        ++crashes_;
        start();
    }
    void cut() {
        static constexpr const char* which[] = {"pid in (select backend_pid from ledger.head)", "pid not in (select backend_pid from ledger.head where backend_pid is not null)", "true"};
        owner_.ask(std::string("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'ovation_app' and ") + which[chance(3)]);
        ++crashes_;
    }
    void change_limits() {
        for (auto n = commands_.roll(3) == 0 ? 1 + commands_.roll(8) : 0; n > 0; --n) owner_.ask(commands_.change());
    }

    // One wave, in trouble or not. Whatever the trouble, the commands and their answers are those of the seed.
    void turn(bool crash) {
        change_limits();
        const auto left = o_.commands - sent_;
        const auto kind = crash ? commands_.roll(4) : commands_.roll(12) == 0 ? 4 : 5;
        const auto size = static_cast<std::size_t>(std::min(left, 1 + commands_.roll(kind == 4 ? 60 : commands_.roll(3) == 0 ? 3'000 : 800)));
        trouble_ = std::array{"after a drop", "another epoch", "connections cut", "writer dropped", "poison", "no trouble"}[static_cast<std::size_t>(kind)];
        switch (kind) {
            case 0:  // between two waves
                drop(std::chrono::milliseconds(chance(2) * chance(30)));
                send(commands_.wave(size, order::kept, false), order::kept, {});
                break;
            case 1:  // another epoch: the first command finds out alone, so that the others keep their order
                send(commands_.wave(1, order::kept, false), order::kept, {});
                owner_.ask("update ledger.head set writer_epoch = writer_epoch + 1");
                send(commands_.wave(1, order::kept, false), order::kept, {});
                send(commands_.wave(size, order::free, commands_.roll(2) == 0), order::free, [this] { owner_.ask("update ledger.head set writer_epoch = writer_epoch + 1"); });
                send(commands_.wave(1, order::kept, false), order::kept, {});
                break;
            case 2:
                send(commands_.wave(size, order::doubt, false), order::doubt, [this] {
                    for (auto n = 1 + chance(3); n > 0; --n) {
                        cut();
                        std::this_thread::sleep_for(std::chrono::milliseconds(chance(40)));
                    }
                });
                break;
            case 3:
                send(commands_.wave(size, order::doubt, false), order::doubt, [this] { drop(std::chrono::milliseconds(chance(2) * chance(10))); });
                break;
            case 4:
                send(commands_.wave(size, order::kept, true), order::kept, {});
                break;
            default: {
                // Somebody's limit changes who has nothing to do with it: batches on their way are judged again.
                std::function<void()> noise;
                if (chance(5) == 0) noise = [this] { owner_.ask("update ledger.wallet set daily_limit = daily_limit + 1 where user_id = " + std::to_string(o_.users + 1)); };
                send(commands_.wave(size, order::kept, false), order::kept, noise);
            }
        }
    }
    void submit(const std::vector<step>& wave, const std::vector<std::size_t>& which, const std::shared_ptr<answers>& to) {
        {
            const std::scoped_lock lock(to->mutex);
            to->left = which.size();
        }
        for (const auto i : which)
            queue_->post(wave[i].what, [to, i](result<ledger::outcome> r) {
                const std::scoped_lock lock(to->mutex);
                to->got[i] = std::move(r);
                if (--to->left == 0) to->came.notify_one();
            });
    }
    void send(std::vector<step> wave, order o, const std::function<void()>& trouble) {
        if (wave.empty()) return;
        std::vector<std::size_t> which(wave.size());
        for (std::size_t i = 0; i < which.size(); ++i) which[i] = i;
        std::vector<answer> got(wave.size());
        for (int round = 0; !which.empty(); ++round) {
            auto now = std::make_shared<answers>();
            now->got.resize(wave.size());
            const auto writer = writers_;
            submit(wave, which, now);
            if (round == 0 && trouble) {
                std::this_thread::sleep_for(std::chrono::microseconds(chance(30'000)));
                trouble();
            }
            std::unique_lock lock(now->mutex);
            if (writer == writers_ && !now->came.wait_for(lock, 60s, [&] { return now->left == 0; })) {
                for (const auto i : which) got[i] = now->got[i];
                const auto first = std::ranges::find_if(which, [&](auto i) { return !got[i]; });
                fail(wave, got, first == which.end() ? 0 : *first, "no answer within a minute");
            }
            std::vector<std::size_t> again;
            std::optional<std::size_t> missed;
            for (const auto i : which) {
                const bool posts = wave[i].want.posts();
                if (!open(now->got[i])) {
                    got[i] = now->got[i];
                    if (o == order::free || !posts || !missed) continue;
                    // What comes later is not posted before it.
                    for (const auto k : which) got[k] = now->got[k];
                    fail(wave, got, i, "posted although #" + std::to_string(*missed) + " before it was not: " + text_of(got[*missed]));
                }
                again.push_back(i);
                if (posts && !missed) missed = i;
            }
            which = std::move(again);
            again_ += static_cast<std::int64_t>(which.size());
            if (round > 200) fail(wave, got, which.front(), "never answered");
            if (!which.empty() && round > 0) std::this_thread::sleep_for(10ms);
        }
        compare(wave, got, o);
        sent_ += static_cast<std::int64_t>(wave.size());
    }
    void compare(const std::vector<step>& wave, const std::vector<answer>& got, order o) {
        std::vector<std::int64_t> seqs, wanted;
        for (std::size_t i = 0; i < wave.size(); ++i) {
            auto w = wave[i].want;
            if (const auto at = renumbered_.find(w.seq); !w.posts() && at != renumbered_.end()) w.seq = at->second;
            const auto& a = *got[i];
            if (o_.answers) said.push_back(w.loose ? "" : !a ? "fault" : text_of(w.posts() ? got[i] : answer(ledger::outcome{a->state, a->seq, 0, 0, 0, 0, 0})));
            if (w.fault || (w.loose && !a)) {
                if (a) fail(wave, got, i, "taken, or refused otherwise");
                continue;
            }
            if (!a) fail(wave, got, i, "not taken");
            // After a doubt the first answer may be that of its own replay.
            const bool doubtful = o != order::kept && w.posts() && a->state == status::replayed;
            doubts_ += doubtful;
            if (a->state != w.state && !doubtful) fail(wave, got, i, "another status");
            if (w.posts()) {
                seqs.push_back(a->seq.value);
                wanted.push_back(w.seq);
            }
            if (w.seq != a->seq.value && o != order::free) fail(wave, got, i, "another number");
            if (std::holds_alternative<ledger::gift_command>(wave[i].what) && a->state == status::posted && (a->paid != w.paid || a->gift_only != w.gift_only || a->bonus != w.bonus))
                fail(wave, got, i, "other balances");
        }
        if (o != order::free) return;
        // In any order, but without a gap.
        std::ranges::sort(seqs);
        if (seqs != wanted) fail(wave, got, 0, "the wave has other numbers");
        for (std::size_t i = 0; i < wave.size(); ++i)
            if (wave[i].want.posts()) renumbered_[wave[i].want.seq] = (*got[i])->seq.value;
    }
    [[noreturn]] void fail(const std::vector<step>& wave, const std::vector<answer>& got, std::size_t at, const std::string& what) const {
        std::string out = "command " + std::to_string(sent_ + static_cast<std::int64_t>(at)) + " (#" + std::to_string(at) + " of a wave of " + std::to_string(wave.size()) + ", " + trouble_ + "): " + what + '\n';
        for (auto i = at > 6 ? at - 6 : 0; i < std::min(wave.size(), at + 4); ++i)
            out += std::string(i == at ? ">" : " ") + " #" + std::to_string(i) + ' ' + text_of(wave[i].what) + "\n      want " + text_of(wave[i].want) + "\n      got  " + text_of(got[i]) + '\n';
        throw std::runtime_error(out);
    }

    // Every account, every day's spending, and the numbers; from time to time all of `ledger verify`.
    void inspect(bool last) {
        ++inspected_;
        const auto began = clock_.steady_ms();
        const auto& books = commands_.expected;
        std::string wrong;
        std::size_t found = 0;
        for (const auto& row : owner_.ask("select a.name, s.amount, s.version from ledger.standings s join ledger.account a on a.id = s.account_id")) {
            const auto at = books.accounts.find(row[0]);
            const auto want = at == books.accounts.end() ? model::account{} : at->second;
            found += at != books.accounts.end();
            if (row[1] != std::to_string(want.amount) || row[2] != std::to_string(want.version))
                wrong += row[0] + " has " + row[1] + " (version " + row[2] + "), should have " + std::to_string(want.amount) + " (" + std::to_string(want.version) + ")\n";
        }
        if (found != books.accounts.size()) wrong += "accounts are missing\n";
        const auto u = std::to_string(1 + chance(o_.users));
        if (owner_.number("select s.amount from ledger.standing s join ledger.account a on a.id = s.account_id where a.name = 'wallet:" + u + "'") != books.amount("wallet:" + u)) wrong += "standing of wallet:" + u + "\n";
        for (const auto& row : owner_.ask("select user_id, spent from ledger.spent where day <> 0"))
            if (row[1] != std::to_string(books.holders.at(std::stoll(row[0])).spent)) wrong += "user " + row[0] + " spent " + row[1] + ", should have " + std::to_string(books.holders.at(std::stoll(row[0])).spent) + "\n";
        const auto numbers = owner_.ask("select (select seq from ledger.head), count(*), count(distinct seq), coalesce(max(seq), 0) from (select seq from ledger.gift where seq > " + std::to_string(checked_) +
                                        " union all select seq from ledger.entry where seq > " + std::to_string(checked_) + ") x").at(0);
        if (numbers[0] != std::to_string(books.seq) || numbers[1] != std::to_string(books.seq - checked_) || numbers[2] != numbers[1] || (numbers[1] != "0" && numbers[3] != numbers[0]))
            wrong += "head " + numbers[0] + ", rows since " + std::to_string(checked_) + ": " + numbers[1] + ", numbers " + numbers[2] + " up to " + numbers[3] + ", should be " + std::to_string(books.seq) + "\n";
        checked_ = books.seq;
        if (last || books.seq > verified_ * 3) {
            asio::io_context context(1);
            pg::connection db(context);
            std::string failed;
            asio::co_spawn(context, verify(db, db_.app(), failed), [](std::exception_ptr) {});
            context.run();
            if (!failed.empty()) wrong += "verify: " + failed + "\n";
            verified_ = books.seq;
        }
        inspecting_ms_ += clock_.steady_ms() - began;
        if (!wrong.empty()) throw std::runtime_error("after command " + std::to_string(sent_) + ":\n" + wrong);
    }

    options o_;
    test::database db_;
    owner owner_;
    model::stream commands_;
    std::mt19937_64 chance_;  // of what must not matter
    system_clock_source clock_;
    std::unique_ptr<metrics> metrics_;
    std::unique_ptr<ledger::posting_queue> queue_;
    std::unordered_map<std::int64_t, std::int64_t> renumbered_;
    std::string trouble_;
    std::int64_t leaf_rows_ = 0, sent_ = 0, checked_ = 0, verified_ = 0;
    std::int64_t writers_ = 0, crashes_ = 0, doubts_ = 0, again_ = 0, inspected_ = 0;
    std::int64_t waves_ms_ = 0, crashing_ms_ = 0, inspecting_ms_ = 0;
};
}  // namespace

int main(int argc, char** argv) {
    CLI::App app("the ledger against a sequential model");
    options o;
    o.seed = std::random_device()();
    bool both = false;
    std::string log_level = "off";
    app.add_option("--commands", o.commands);
    app.add_option("--seed", o.seed, "the commands and their answers follow from it; when the crashes come does not");
    app.add_option("--users", o.users);
    app.add_option("--wallets-max", o.wallets_max, "wallets in the writer's memory; each writer another number by default");
    app.add_option("--log-level", log_level);
    app.add_flag("--set-based", both, "no crashes, and once more by the set-based functions");
    app.add_flag("--small-leaves", o.small_leaves);
    CLI11_PARSE(app, argc, argv);
    crypto::start();
    log::start(log_level);
    std::cout << "seed " << o.seed << std::endl;
    try {
        o.crashes = !both;
        o.answers = both;
        trial resident(o);
        resident.run();
        resident.report();
        resident.list();
        if (!both) return 0;
        o.set_based = true;
        trial by_sets(o);
        by_sets.run();
        by_sets.report();
        for (std::size_t i = 0; i < resident.said.size(); ++i)
            if (resident.said[i] != by_sets.said[i]) throw std::runtime_error("command " + std::to_string(i) + ": the writer said " + resident.said[i] + ", the functions " + by_sets.said[i]);
        const auto a = resident.contents(), b = by_sets.contents();
        if (a != b) {
            std::size_t i = 0;
            while (i < std::min(a.size(), b.size()) && a[i] == b[i]) ++i;
            std::string rows;
            for (const auto* table : {&a, &b}) {
                rows += '\n';
                if (i < table->size()) for (const auto& f : (*table)[i]) rows += f + ' ';
            }
            throw std::runtime_error("the books differ:" + rows);
        }
        std::cout << "both say the same\n";
        return 0;
    } catch (const std::exception& e) {
        std::cout << "WRONG (seed " << o.seed << "): " << e.what() << std::endl;
        return 1;
    }
}
