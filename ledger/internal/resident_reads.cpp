// What the resident writer reads before it judges: known keys, wallets, routes, accounts, limits.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "ledger/internal/resident_writer.hpp"
#include "ledger/sql.hpp"

namespace ovation::ledger {
namespace {

// The columns id, floored, whole_coins, amount, version, spent, spent_day.
account account_of(const pg::rows& r, int i, int id, int flags) {
    account out;
    out.id = r.number(i, id);
    out.floored = r.boolean(i, flags);
    out.whole_coins = r.boolean(i, flags + 1);
    out.amount = r.number(i, flags + 2);
    out.version = r.number(i, flags + 3);
    out.spent = r.number(i, flags + 4);
    out.day = r.number(i, flags + 5);
    return out;
}
account coins_of(const pg::rows& r, int i, int at) {
    account out;
    out.id = r.number(i, at);
    out.floored = out.whole_coins = true;
    out.amount = r.number(i, at + 1);
    out.version = r.number(i, at + 2);
    return out;
}
std::int64_t holder_of(std::string_view account) {  // of "wallet:7"
    std::int64_t out = 0;
    if (account.starts_with("wallet:")) std::from_chars(account.data() + 7, account.data() + account.size(), out);
    return out;
}
}  // namespace

// What PostgreSQL must be asked before the batch can be judged; a batch of known wallets, known routes and new keys asks nothing.
awaitable<result<resident_writer::known>> resident_writer::look_up(pg::connection& db, std::span<const command* const> batch) {
    known out;
    out.facts.resize(batch.size());
    std::unordered_map<leaf*, std::string> asked;
    std::vector<std::string> entry_keys;
    std::unordered_set<std::int64_t> users, routes;
    for (const auto& l : leaves_)
        if (l->ready)
            for (const auto* c : batch)
                if (const auto* g = std::get_if<gift_command>(c)) l->keys->prefetch(g->key);
    for (const auto* c : batch) {
        if (const auto* g = std::get_if<gift_command>(c)) {
            ask_for(g->key, asked);
            if (!books_.purse_of(g->payer.value)) users.insert(g->payer.value);
            if (!books_.route_of(g->route.value)) routes.insert(g->route.value);
        } else {
            const auto& e = std::get<entry_command>(*c);
            entry_keys.push_back(e.key);
            if (e.kind == "hold" || e.kind == "release")
                for (const auto& [name, amount] : e.legs)
                    if (const auto user = holder_of(name); user != 0 && !books_.purse_of(user)) users.insert(user);
        }
    }
    // A leaf that is let go meanwhile stays until it has answered.
    for (const auto& l : std::vector(leaves_)) {
        const auto at = asked.find(l.get());
        if (at == asked.end()) continue;
        OVATION_CO_TRY(const auto r, co_await db.query(l->known, pg::params().add_raw(std::move(at->second) + "}"), statement_patience));
        for (int i = 0; i < r.size(); ++i)
            out.gifts.emplace(uuid::parse(r.text(i, 0)).value_or(uuid()), known_gift{r.number(i, 1), r.number(i, 2), r.number(i, 3), r.number(i, 4), r.number(i, 5), r.number(i, 6)});
    }
    if (!users.empty()) OVATION_CO_CHECK(co_await load_wallets(db, users));
    if (!routes.empty()) OVATION_CO_CHECK(co_await load_routes(db, routes));
    if (!entry_keys.empty()) {
        OVATION_CO_TRY(const auto r, co_await db.query(sql::known_entries, pg::params().add_text_array(entry_keys), statement_patience));
        for (int i = 0; i < r.size(); ++i) {
            auto& e = out.entries[r.string(i, 0)];
            e.seq = r.number(i, 1);
            e.kind = r.text(i, 2);
            e.reference = r.text(i, 3);
            if (r.null(i, 4)) continue;
            e.names.push_back(r.string(i, 4));
            e.amounts.push_back(r.number(i, 5));
        }
        OVATION_CO_CHECK(co_await load_accounts(db, batch, out));
    }
    co_return out;
}

awaitable<result<void>> resident_writer::load_wallets(pg::connection& db, const std::unordered_set<std::int64_t>& users) {
    OVATION_CO_TRY(const auto r, co_await db.query(sql::load_wallets, pg::params().add_raw(numbers(users, [](auto u) { return u; })), statement_patience));
    for (int i = 0; i < r.size(); ++i) {
        purse p;
        p.user = r.number(i, 0);
        auto paid = coins_of(r, i, 1);
        paid.spent = r.number(i, 15);
        paid.day = r.number(i, 16);
        p.paid = &books_.put_account(paid);
        p.gift_only = &books_.put_account(coins_of(r, i, 4));
        p.bonus = &books_.put_account(coins_of(r, i, 7));
        const auto salt = pg::bytes_of("\\x" + r.string(i, 10));
        std::memcpy(p.salt.data(), salt.data(), std::min(salt.size(), p.salt.size()));
        p.frozen = r.boolean(i, 11);
        p.daily_limit = r.number(i, 12);
        p.raised_limit = r.number(i, 13);
        p.raised_from_us = r.number(i, 14);
        books_.put_purse(p);
    }
    co_return result<void>{};
}
awaitable<result<void>> resident_writer::load_routes(pg::connection& db, const std::unordered_set<std::int64_t>& routes) {
    OVATION_CO_TRY(const auto r, co_await db.query(sql::load_routes, pg::params().add_raw(numbers(routes, [](auto id) { return id; })), statement_patience));
    for (int i = 0; i + 6 < r.size(); i += 7) {
        route made;
        made.text = route_text_of(r, i);
        made.digest = digest_of(made.text);
        for (int leg = 0; leg < 7; ++leg)
            made.to[static_cast<std::size_t>(leg)] = &books_.put_account(account_of(r, i + leg, 16, 18));
        books_.put_route(r.number(i, 0), std::move(made));
    }
    co_return result<void>{};
}
awaitable<result<void>> resident_writer::read_limits(pg::connection& db) {
    OVATION_CO_TRY(const auto version, co_await db.query(sql::limits_version, {}, statement_patience));
    OVATION_CO_TRY(const auto r, co_await db.query(sql::limit_changes, pg::with(limits_), statement_patience));
    for (int i = 0; i < r.size(); ++i)
        if (auto* p = books_.purse_of(r.number(i, 0))) {
            p->frozen = r.boolean(i, 1);
            p->daily_limit = r.number(i, 2);
            p->raised_limit = r.number(i, 3);
            p->raised_from_us = r.number(i, 4);
        }
    limits_ = version.number(0, 0);
    co_return result<void>{};
}

// The accounts that the entries of a batch name, as far as they are open.
awaitable<result<void>> resident_writer::load_accounts(pg::connection& db, std::span<const command* const> batch, known& what) {
    std::vector<std::string> names;
    for (const auto* c : batch)
        if (const auto* e = std::get_if<entry_command>(c))
            for (const auto& leg : e->legs) names.push_back(leg.first);
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    OVATION_CO_TRY(const auto r, co_await db.query(sql::load_accounts, pg::params().add_text_array(names), statement_patience));
    std::unordered_map<std::string, account*> found;
    for (int i = 0; i < r.size(); ++i) found[r.string(i, 0)] = &books_.put_account(account_of(r, i, 1, 2));
    for (std::size_t i = 0; i < batch.size(); ++i) {
        const auto* e = std::get_if<entry_command>(batch[i]);
        if (!e) continue;
        auto& facts = what.facts[i];
        facts.accounts.clear();
        facts.holds = false;
        for (const auto& [name, amount] : e->legs) {
            const auto at = found.find(name);
            facts.accounts.push_back(at == found.end() ? nullptr : at->second);
            if (!name.starts_with("wallet:")) continue;
            if ((e->kind == "hold" && amount < 0) || (e->kind == "release" && amount > 0)) {
                facts.holds = e->kind == "hold";
                facts.holder = books_.purse_of(holder_of(name));
            }
        }
        if (e->kind == "release" && facts.holder && !what.entries.contains(e->key)) {
            std::vector<std::string> from;
            for (const auto& [name, amount] : e->legs)
                if (amount < 0) from.push_back(name);
            OVATION_CO_TRY(const auto day, co_await db.query(sql::hold_day, pg::params().add_text_array(from), statement_patience));
            if (!day.null(0, 0)) facts.hold_day = day.number(0, 0);
        }
    }
    co_return result<void>{};
}
// When the entry's turn has come, and only if it will not be refused: a refused one leaves nothing behind.
awaitable<result<void>> resident_writer::open_missing(pg::connection& db, std::span<const command* const> batch, known& what, std::size_t i) {
    const auto& e = std::get<entry_command>(*batch[i]);
    if (what.entries.contains(e.key) || std::ranges::find(what.facts[i].accounts, nullptr) == what.facts[i].accounts.end() || !books_.would_post(*open_, e, what.facts[i])) co_return result<void>{};
    std::vector<std::string> missing;
    for (std::size_t k = 0; k < e.legs.size(); ++k)
        if (!what.facts[i].accounts[k]) missing.push_back(e.legs[k].first);
    OVATION_CO_CHECK(co_await db.query(sql::open_accounts, pg::params().add_text_array(missing), statement_patience));
    co_return co_await load_accounts(db, batch, what);
}

}  // namespace ovation::ledger
