#include "ledger/audit.hpp"

#include <spdlog/fmt/fmt.h>

#include <array>
#include <unordered_map>

#include "ledger/split.hpp"
#include "ledger/sql.hpp"

namespace ovation::ledger {
namespace {
constexpr auto patience = std::chrono::minutes(30);
const pg::statement begin_snapshot{"begin_snapshot", "begin isolation level repeatable read read only"};
const pg::statement end_snapshot{"end_snapshot", "commit"};
constexpr std::int64_t chunk = 50'000;

check counted(std::string name, const pg::rows& r, std::string sentence) {
    // Column 0: violations; column 1: rows looked at; column 2: an example.
    const auto bad = r.number(0, 0);
    return {std::move(name), bad == 0, bad == 0 ? r.number(0, 1) : bad, bad == 0 ? std::move(sentence) : "for example " + r.string(0, 2)};
}

// Columns of sql::gifts_from: seq, price, bonus, legs (7), rule (gross, vat, five shares, bonus).
bool same_split(const pg::rows& r, int i) {
    split_rule rule;
    rule.gross = r.boolean(i, 10);
    const auto bp = [&](int column) { return static_cast<int>(r.number(i, column)); };
    rule.vat_bp = bp(11);
    rule.rights_bp = bp(12);
    rule.singer_bp = bp(13);
    rule.agent_bp = bp(14);
    rule.venue_bp = bp(15);
    rule.platform_bp = bp(16);
    rule.bonus_singer_bp = bp(17);
    const split_legs posted{r.number(i, 3), r.number(i, 4), r.number(i, 5), r.number(i, 6), r.number(i, 7), r.number(i, 8), r.number(i, 9)};
    return split(r.number(i, 1), r.number(i, 2), rule) == posted;
}

awaitable<result<check>> recompute_splits(pg::connection& db) {
    check out{"split", true, 0, "every gift's legs follow from its rule, recomputed"};
    std::int64_t from = 0;
    std::int64_t bad = 0;
    while (true) {
        auto page = co_await db.query(sql::gifts_from, pg::with(from, chunk), patience);
        if (!page) co_return page.error();
        for (int i = 0; i < page->size(); ++i) {
            ++out.count;
            from = page->number(i, 0);
            if (same_split(*page, i)) continue;
            if (bad++ == 0) out.detail = fmt::format("for example seq {}", from);
        }
        if (page->size() < chunk) break;
    }
    if (bad != 0) {
        out.ok = false;
        out.count = bad;
    }
    co_return out;
}
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
        auto page = co_await db.query(sql::captures_from, pg::with(from, chunk), patience);
        if (!page) co_return page.error();
        for (int i = 0; i < page->size(); ++i) {
            ++out.count;
            from = page->number(i, 0);
            if (same_capture(*page, i)) continue;
            if (bad++ == 0) out.detail = fmt::format("for example seq {}", from);
        }
        if (page->size() < chunk) break;
    }
    if (bad != 0) {
        out.ok = false;
        out.count = bad;
    }
    co_return out;
}
}  // namespace

awaitable<result<std::vector<check>>> verify(pg::connection& db) {
    std::vector<check> out;
    OVATION_CO_CHECK(co_await db.query(begin_snapshot, {}, patience));
    struct step {
        const char* name;
        const pg::statement* what;
        const char* sentence;
    };
    const step steps[] = {
        {"numbers", &sql::verify_numbers, "entries are numbered 1, 2, 3, … up to the head, without a gap"},
        {"keys", &sql::verify_keys, "no key was posted twice"},
        {"sums", &sql::verify_sums, "the postings of every entry sum to zero"},
        {"balances", &sql::verify_balances, "every balance and version equals its postings"},
        {"floors", &sql::verify_floors, "no floored account is, or ever was, below zero"},
        {"coins", &sql::verify_coins, "wallets hold whole coins"},
        {"total", &sql::verify_total, "all accounts together are zero"},
        {"spend", &sql::verify_spend, "the days' spending equals each payer's gifts and holds, less what was released"},
        {"holds", &sql::verify_holds, "what was held is captured or released whole, once"},
    };
    for (const auto& s : steps) {
        OVATION_CO_TRY(auto rows, co_await db.query(*s.what, {}, patience));
        out.push_back(counted(s.name, rows, s.sentence));
    }
    OVATION_CO_TRY(auto splits, co_await recompute_splits(db));
    out.push_back(std::move(splits));
    OVATION_CO_TRY(auto captures, co_await recompute_captures(db));
    out.push_back(std::move(captures));
    OVATION_CO_CHECK(co_await db.query(end_snapshot, {}, patience));
    co_return out;
}

awaitable<result<std::vector<check>>> quick_checks(pg::pool& db) {
    std::vector<check> out;
    OVATION_CO_TRY(auto total, co_await db.query(sql::verify_total, {}));
    out.push_back(counted("total", total, "all accounts together are zero"));
    OVATION_CO_TRY(auto coins, co_await db.query(sql::verify_coins, {}));
    out.push_back(counted("coins", coins, "wallets hold whole coins"));
    OVATION_CO_TRY(auto floors, co_await db.query(sql::quick_floors, {}));
    out.push_back(counted("floors", floors, "no floored account is below zero"));
    OVATION_CO_TRY(auto behind, co_await db.query(sql::quick_head, {}));
    out.push_back(counted("head", behind, "the head stands at the newest entry"));
    co_return out;
}

awaitable<result<std::int64_t>> dump(pg::connection& db, std::function<void(const std::string&)> line) {
    struct standing {
        std::string name;
        std::int64_t version = 0;
        std::int64_t balance = 0;
    };
    OVATION_CO_CHECK(co_await db.query(begin_snapshot, {}, patience));
    std::unordered_map<std::int64_t, standing> accounts;
    OVATION_CO_TRY(auto names, co_await db.query(sql::account_names, {}, patience));
    for (int i = 0; i < names.size(); ++i) accounts[names.number(i, 0)].name = names.string(i, 1);
    OVATION_CO_TRY(auto head, co_await db.query(sql::head_seq, {}, patience));
    std::int64_t lines = 0;
    for (std::int64_t from = 1; from <= head.number(0, 0); from += chunk) {
        OVATION_CO_TRY(auto page, co_await db.query(sql::postings_range, pg::with(from, from + chunk), patience));
        for (int i = 0; i < page.size(); ++i) {
            auto& a = accounts[page.number(i, 3)];
            const auto amount = page.number(i, 4);
            a.balance += amount;
            line(fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}", page.number(i, 0), page.text(i, 1), page.text(i, 2), a.name, ++a.version, amount, a.balance));
            ++lines;
        }
    }
    OVATION_CO_CHECK(co_await db.query(end_snapshot, {}, patience));
    co_return lines;
}

}  // namespace ovation::ledger
