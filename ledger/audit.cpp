#include "ledger/audit.hpp"

#include <spdlog/fmt/fmt.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <queue>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "ledger/internal/recount.hpp"
#include "ledger/sql.hpp"

namespace ovation::ledger {
namespace {

// Columns of sql::captures_from: seq, price, accounts (7), rule (gross, vat, five shares, bonus), what they got (6).
// An account may stand for several parties: compared are the sums by account, and that nobody else got anything.
bool same_capture(const pg::rows& r, int i) {
    if (r.null(i, 2)) return false;
    split_rule rule;
    rule.gross = r.boolean(i, 9);
    const auto bp = [&](int column) { return static_cast<int>(r.number(i, column)); };
    rule.vat_bp = bp(10);
    rule.rights_bp = bp(11);
    rule.singer_bp = bp(12);
    rule.agent_bp = bp(13);
    rule.venue_bp = bp(14);
    rule.platform_bp = bp(15);
    const auto price = r.number(i, 1);
    const auto due = split(price, 0, rule);
    const std::array<std::int64_t, 6> legs{due.vat, due.rights, due.singer, due.agent, due.venue, due.platform};
    std::unordered_map<std::int64_t, std::int64_t> expected, got;
    for (int k = 0; k < 6; ++k) {
        expected[r.number(i, 2 + k)] += legs[static_cast<std::size_t>(k)];
        got[r.number(i, 2 + k)] = r.number(i, 17 + k);
    }
    std::int64_t total = 0;
    for (const auto& [account, amount] : got) total += amount;
    return expected == got && total == price;
}

awaitable<result<check>> recompute_captures(pg::connection& db) {
    check out{"captures", true, 0, "every captured hold was split by the rule of its route, recomputed"};
    std::int64_t from = 0;
    std::int64_t bad = 0;
    while (true) {
        auto page = co_await db.query(sql::captures_from, pg::with(from, reading_page), reading_patience);
        if (!page) co_return page.error();
        for (int i = 0; i < page->size(); ++i) {
            ++out.count;
            from = page->number(i, 0);
            if (same_capture(*page, i)) continue;
            if (bad++ == 0) out.detail = fmt::format("for example seq {}", from);
        }
        if (page->size() < reading_page) break;
    }
    if (bad != 0) {
        out.ok = false;
        out.count = bad;
    }
    co_return out;
}
}  // namespace

namespace {
check said(std::string name, const finding& f, std::string sentence) {
    return {std::move(name), f.bad == 0, f.bad == 0 ? f.looked_at : f.bad, f.bad == 0 ? std::move(sentence) : "for example " + f.example};
}

// The kinds of the accounts that a page moves and that were not met before.
awaitable<result<void>> learn_accounts(pg::connection& db, journal_page& page, std::unordered_set<std::int64_t>& met) {
    std::string unknown = "{";
    const auto ask = [&](std::int64_t id) {
        if (met.insert(id).second) append_number(unknown, id);
    };
    for (const auto id : page.new_accounts) ask(id);
    for (const auto& e : page.entries)
        for (const auto id : e.accounts) ask(id);
    if (unknown.size() == 1) co_return result<void>{};
    OVATION_CO_TRY(const auto kinds, co_await db.query(sql::account_kinds, pg::params().add_raw(unknown + "}"), reading_patience));
    for (int i = 0; i < kinds.size(); ++i) page.accounts.push_back({kinds.number(i, 0), kinds.boolean(i, 1), kinds.boolean(i, 2), kinds.number(i, 3)});
    co_return result<void>{};
}

// Counts pages on a thread of its own, in the order in which they come.
class counter {
public:
    explicit counter(recount& into) : thread_([this, &into] { count(into); }) {}
    ~counter() { finish(); }
    counter(const counter&) = delete;
    counter& operator=(const counter&) = delete;
    // Waits while as many wait as may.
    void put(journal_page page) {
        std::unique_lock hold(mutex_);
        changed_.wait(hold, [&] { return waiting_.size() < waiting_max; });
        waiting_.push(std::move(page));
        changed_.notify_all();
    }
    // All are counted.
    void finish() {
        {
            const std::lock_guard hold(mutex_);
            over_ = true;
            changed_.notify_all();
        }
        if (thread_.joinable()) thread_.join();
    }

private:
    static constexpr std::size_t waiting_max = 3;
    void count(recount& into) {
        while (true) {
            journal_page page;
            {
                std::unique_lock hold(mutex_);
                changed_.wait(hold, [&] { return over_ || !waiting_.empty(); });
                if (waiting_.empty()) return;
                page = std::move(waiting_.front());
                waiting_.pop();
                changed_.notify_all();
            }
            into.take(page);
        }
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    std::queue<journal_page> waiting_;
    bool over_ = false;
    std::thread thread_;
};

// The journal from its lowest to its highest number, counted: as it lies, where there is a connection `aside` for what is no gift,
// or by numbers. False: it does not lie in its order. Gifts are read by `db` alone, which holds its locks on them already: one that
// waits for all readers to go (a change of the table) must not come to stand between two connections of one reader.
awaitable<result<bool>> count_journal(pg::connection& db, pg::connection* aside, std::int64_t lowest, std::int64_t highest, recount& counted) {
    journal_reader journal(aside ? *aside : db);
    std::optional<journal_stream> lying;
    if (aside) OVATION_CO_CHECK(co_await lying.emplace(db, lowest).begin());
    std::unordered_set<std::int64_t> met;
    counter counting(counted);
    for (auto from = lowest; from <= highest; from += reading_page) {
        const auto to = from + reading_page;
        journal_page page;
        if (lying) {
            OVATION_CO_TRY(page.entries, co_await journal.entries(from, to));
            const auto there = std::min(to, highest + 1) - from - std::ssize(page.entries);
            OVATION_CO_TRY(auto gifts, co_await lying->page(static_cast<std::size_t>(std::max<std::int64_t>(there, 0))));
            if (!gifts) {
                OVATION_CO_CHECK(co_await lying->end());
                co_return false;
            }
            page.gifts = std::move(*gifts);
            journal.arrange(page);
        } else {
            OVATION_CO_TRY(page, co_await journal.read(from, to));
        }
        OVATION_CO_CHECK(co_await journal.load_for(page));
        OVATION_CO_CHECK(co_await learn_accounts(aside ? *aside : db, page, met));
        counting.put(std::move(page));
    }
    if (lying) OVATION_CO_CHECK(co_await lying->end());
    counting.finish();
    co_return true;
}

// Balances and days' spending as they are stored, against the count. Empties what it has compared.
awaitable<result<void>> compare_rows(pg::connection& db, recount& counted, finding& balances, finding& total, finding& spend) {
    OVATION_CO_TRY(const auto days, co_await db.query(sql::spent_by_user, {}, reading_patience));
    for (int i = 0; i < days.size(); ++i) {
        auto& posted = counted.accounts[days.number(i, 1)];
        spend.count(posted.day == days.number(i, 2) && posted.spent == days.number(i, 3), [&] { return fmt::format("user {}, account {}", days.text(i, 0), days.text(i, 1)); });
        posted.day = posted.spent = 0;
    }
    for (const auto& [id, a] : counted.accounts) spend.count(a.day == 0, [&] { return fmt::format("account {}", id); });
    OVATION_CO_TRY(const auto unsaved, co_await db.query(sql::unsaved, {}, reading_patience));
    std::unordered_map<std::int64_t, std::pair<std::int64_t, std::int64_t>> later;
    for (int i = 0; i < unsaved.size(); ++i) later[unsaved.number(i, 0)] = {unsaved.number(i, 1), unsaved.number(i, 2)};
    OVATION_CO_TRY(const auto bounds, co_await db.query(sql::account_numbers, {}, reading_patience));
    __int128 sum = 0;
    for (auto from = bounds.number(0, 0); from <= bounds.number(0, 1); from += reading_page) {
        OVATION_CO_TRY(const auto rows, co_await db.query(sql::balance_rows, pg::with(from, from + reading_page), reading_patience));
        for (int i = 0; i < rows.size(); ++i) {
            const auto id = rows.number(i, 0);
            const auto [amount, version] = later.contains(id) ? later[id] : std::pair<std::int64_t, std::int64_t>{};
            const auto stored = rows.number(i, 1) + amount;
            sum += stored;
            const auto at = counted.accounts.find(id);
            const auto posted = at == counted.accounts.end() ? recount::standing{} : at->second;
            balances.count(!rows.null(i, 1) && rows.boolean(i, 5) && stored == posted.amount && rows.number(i, 2) + version == posted.version, [&] { return rows.string(i, 3); });
            counted.coins.count(!rows.boolean(i, 4) || stored % 10'000 == 0, [&] { return rows.string(i, 3); });
            if (at != counted.accounts.end()) counted.accounts.erase(at);
        }
    }
    for (const auto& [id, a] : counted.accounts) balances.count(a.version == 0, [&] { return fmt::format("account {}, which is gone", id); });
    total.count(sum == 0, [&] { return std::to_string(static_cast<std::int64_t>(sum)); });
    co_return result<void>{};
}
}  // namespace

check counted_of(std::string name, const pg::rows& found, std::string sentence) {
    const auto bad = found.number(0, 0);
    return {std::move(name), bad == 0, bad == 0 ? found.number(0, 1) : bad, bad == 0 ? std::move(sentence) : "for example " + found.string(0, 2)};
}

awaitable<result<std::int64_t>> rebuild(pg::connection& owner) {
    OVATION_CO_TRY(const auto r, co_await owner.query(sql::rebuild, {}, reading_patience));
    co_return r.number(0, 0);
}

awaitable<result<std::vector<check>>> verify(pg::connection& db, std::vector<checkpoint> seals) {
    OVATION_CO_CHECK(co_await db.query(begin_snapshot, {}, reading_patience));
    OVATION_CO_TRY(const auto head, co_await db.query(sql::head_and_tree, {}, reading_patience));
    // Numbers far outside were never given; they are told, not counted.
    constexpr std::int64_t margin = 1'000'000;
    const auto highest = std::min(head.number(0, 1), head.number(0, 0) + margin), lowest = std::max(head.number(0, 4), 1 - margin), hashed = head.number(0, 2);
    OVATION_CO_TRY(const auto days, co_await db.query(sql::days_of_books, pg::with(head.string(0, 5)), reading_patience));
    pg::connection aside(static_cast<asio::io_context&>((co_await asio::this_coro::executor).context()));
    OVATION_CO_TRY(const auto snapshot, co_await db.query(sql::export_snapshot, {}, reading_patience));
    OVATION_CO_CHECK(co_await aside.open_like(db, std::chrono::seconds(10)));
    OVATION_CO_CHECK(co_await aside.copy_in(fmt::format("begin isolation level repeatable read read only; set transaction snapshot '{}'", snapshot.string(0, 0)), {}, reading_patience));
    recount counted;
    for (auto* from : {&aside, static_cast<pg::connection*>(nullptr)}) {
        counted = {};
        counted.roots_at[hashed] = merkle_tree().root();
        for (const auto& s : seals) counted.roots_at[s.size] = merkle_tree().root();
        counted.first_day = days.number(0, 2);
        for (int i = 0; i < days.size(); ++i) counted.day_starts.push_back(days.number(i, 0));
        OVATION_CO_TRY(const bool in_order, co_await count_journal(db, from, lowest, highest, counted));
        if (in_order) break;
    }
    aside.close();
    counted.numbers.count(counted.tree.size() == head.number(0, 0), [&] { return fmt::format("head {}, entries {}", head.number(0, 0), counted.tree.size()); });
    counted.numbers.count(highest == head.number(0, 1) && lowest == head.number(0, 4), [&] { return fmt::format("from {} to {}", head.number(0, 4), head.number(0, 1)); });
    finding keys{0, counted.key_count(), {}}, balances, total, spend, tree;
    if (!counted.doubled_keys().empty()) {  // or two whose 64 bits are alike
        OVATION_CO_TRY(const auto twice, co_await db.query(sql::verify_keys, {}, reading_patience));
        keys.bad = twice.number(0, 0);
        keys.example = twice.string(0, 2);
    }
    tree.looked_at = hashed - 1;
    tree.count(hashed <= counted.tree.size() && pg::bytes_of(head.text(0, 3)) == bytes_of(counted.roots_at[hashed]), [&] { return fmt::format("the root over {} entries", hashed); });
    OVATION_CO_CHECK(co_await compare_rows(db, counted, balances, total, spend));

    std::vector<check> out;
    out.push_back(said("numbers", counted.numbers, "entries are numbered 1, 2, 3, … up to the head, without a gap"));
    out.push_back(said("keys", keys, "no key was posted twice"));
    out.push_back(said("sums", counted.sums, "the postings of every entry sum to zero"));
    out.push_back(said("balances", balances, "every balance and version equals its postings"));
    out.push_back(said("floors", counted.floors, "no floored account is, or ever was, below zero"));
    out.push_back(said("coins", counted.coins, "wallets hold whole coins"));
    out.push_back(said("total", total, "all accounts together are zero"));
    out.push_back(said("spend", spend, "the days' spending equals each payer's gifts and holds, less what was released"));
    out.push_back(said("split", counted.splits, "every gift's legs follow from its rule, recomputed"));
    out.push_back(said("tree", tree, "every entry is as it was hashed when it was posted"));
    finding sealed;
    for (const auto& s : seals) sealed.count(s.size <= counted.tree.size() && counted.roots_at[s.size] == s.root, [&] { return fmt::format("the checkpoint of {} entries", s.size); });
    if (!seals.empty()) out.push_back(said("seals", sealed, "the books hold what every checkpoint signed"));
    OVATION_CO_TRY(const auto names, co_await db.query(sql::verify_names, {}, reading_patience));
    out.push_back(counted_of("names", names, "accounts are what their names say"));
    OVATION_CO_TRY(const auto holds, co_await db.query(sql::verify_holds, {}, reading_patience));
    out.push_back(counted_of("holds", holds, "what was held is captured or released whole, once"));
    OVATION_CO_TRY(const auto months, co_await db.query(sql::verify_months, {}, reading_patience));
    out.push_back(counted_of("months", months, "closed months have their marker, and nothing is dated back into them"));
    OVATION_CO_TRY(auto captures, co_await recompute_captures(db));
    out.push_back(std::move(captures));
    OVATION_CO_CHECK(co_await db.query(end_snapshot, {}, reading_patience));
    co_return out;
}

awaitable<result<std::vector<check>>> quick_checks(pg::pool& db) {
    std::vector<check> out;
    OVATION_CO_TRY(auto total, co_await db.query(sql::verify_total, {}));
    out.push_back(counted_of("total", total, "all accounts together are zero"));
    OVATION_CO_TRY(auto coins, co_await db.query(sql::verify_coins, {}));
    out.push_back(counted_of("coins", coins, "wallets hold whole coins"));
    OVATION_CO_TRY(auto floors, co_await db.query(sql::quick_floors, {}));
    out.push_back(counted_of("floors", floors, "no floored account is below zero"));
    OVATION_CO_TRY(auto behind, co_await db.query(sql::quick_head, {}));
    out.push_back(counted_of("head", behind, "the head stands at the newest entry"));
    co_return out;
}

awaitable<result<std::int64_t>> dump(pg::connection& db, std::function<void(const std::string&)> line) {
    struct standing {
        std::string name;
        std::int64_t version = 0;
        std::int64_t balance = 0;
    };
    OVATION_CO_CHECK(co_await db.query(begin_snapshot, {}, reading_patience));
    std::unordered_map<std::int64_t, standing> accounts;
    OVATION_CO_TRY(auto names, co_await db.query(sql::account_names, {}, reading_patience));
    for (int i = 0; i < names.size(); ++i) accounts[names.number(i, 0)].name = names.string(i, 1);
    OVATION_CO_TRY(auto head, co_await db.query(sql::head_seq, {}, reading_patience));
    std::int64_t lines = 0;
    for (std::int64_t from = 1; from <= head.number(0, 0); from += reading_page) {
        OVATION_CO_TRY(auto page, co_await db.query(sql::postings_range, pg::with(from, from + reading_page), reading_patience));
        for (int i = 0; i < page.size(); ++i) {
            auto& a = accounts[page.number(i, 3)];
            const auto amount = page.number(i, 4);
            a.balance += amount;
            line(fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}", page.number(i, 0), page.text(i, 1), page.text(i, 2), a.name, ++a.version, amount, a.balance));
            ++lines;
        }
    }
    OVATION_CO_CHECK(co_await db.query(end_snapshot, {}, reading_patience));
    co_return lines;
}

}  // namespace ovation::ledger
