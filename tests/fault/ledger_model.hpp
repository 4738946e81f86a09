// What the books must say: a plain sequential model of the ledger with arithmetic of its own (rules.md section 1), so that a
// fault in ledger/ cannot hide behind itself. Knows no database, no batches and no crashes.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ledger/command.hpp"

namespace ovation::model {

inline constexpr std::int64_t coin = 10'000;
using legs = std::vector<std::pair<std::string, std::int64_t>>;

struct split_terms {
    bool gross = false;
    int vat = 600;
    std::array<int, 5> share{};  // basis points of rights, singer, agent, venue, platform
    int bonus_singer = 0;
};
struct route {
    split_terms terms;
    std::array<std::string, 5> party;  // accounts, in the same order
};

// What each account gets of a price, parties of nothing left out.
inline legs credits(const route& r, std::int64_t price, std::int64_t bonus) {
    const auto& t = r.terms;
    const auto taxed = price - bonus;
    const auto vat = taxed * t.vat / (10'000 + t.vat);
    const auto base = t.gross ? taxed : taxed - vat;
    std::array<std::int64_t, 5> part{};
    std::array<std::size_t, 5> order{0, 1, 2, 3, 4};
    auto left = base;
    for (std::size_t i = 0; i < 5; ++i) left -= part[i] = base * t.share[i] / 10'000;
    std::ranges::sort(order, {}, [&](auto i) { return std::pair(-(base * t.share[i] % 10'000), i); });
    for (std::size_t i = 0; static_cast<std::int64_t>(i) < left; ++i) ++part[order[i]];
    if (t.gross) part[4] -= vat;
    const auto to_singer = bonus * t.bonus_singer / 10'000;
    part[1] += to_singer;
    legs out;
    const auto give = [&](const std::string& account, std::int64_t amount) {
        if (amount != 0) out.emplace_back(account, amount);
    };
    give("vat", vat);
    for (std::size_t i = 0; i < 5; ++i) give(r.party[i], part[i]);
    give("promo", bonus - to_singer);
    return out;
}

struct account {
    std::int64_t amount = 0, version = 0;
};
struct holder {
    bool frozen = false;
    std::int64_t limit = 2'000'000'000, raised = -1;
    bool raised_now = false;  // else a day from now
    std::int64_t spent = 0;
    [[nodiscard]] std::int64_t left() const { return (raised >= 0 && raised_now ? raised : limit) - spent; }
};

// What must be answered.
struct verdict {
    ledger::status state = ledger::status::posted;
    bool fault = false;
    bool loose = false;  // refused for more than one reason: a fault will do as well
    std::int64_t seq = 0, paid = 0, gift_only = 0, bonus = 0;
    std::int64_t bonus_part = 0, gift_only_part = 0;  // of a gift that is posted
    [[nodiscard]] bool posts() const { return !fault && state == ledger::status::posted; }
};

inline std::string kind_of(const std::string& name) { return name.substr(0, name.find(':')); }
inline bool whole(const std::string& name) {
    const auto kind = kind_of(name);
    return kind == "wallet" || kind == "gift_only" || kind == "bonus";
}
inline bool floored(const std::string& name) {
    const auto kind = kind_of(name);
    return whole(name) || kind == "earnings" || kind == "escrow" || kind == "payout_transit" || kind == "held";
}
// The user whose coins these are; 0: nobody's.
inline std::int64_t owner_of(const std::string& name) { return whole(name) ? std::stoll(name.substr(name.find(':') + 1)) : 0; }

class books {
public:
    std::int64_t seq = 0;
    std::unordered_map<std::string, account> accounts;
    std::unordered_map<std::int64_t, holder> holders;
    std::unordered_map<std::int64_t, route> routes;

    [[nodiscard]] std::int64_t amount(const std::string& name) const {
        const auto at = accounts.find(name);
        return at == accounts.end() ? 0 : at->second.amount;
    }
    [[nodiscard]] std::int64_t coins_of(std::int64_t user) const {
        const auto u = std::to_string(user);
        return amount("wallet:" + u) + amount("gift_only:" + u) + amount("bonus:" + u);
    }
    // Of a new key. Changes nothing.
    [[nodiscard]] verdict judge(const ledger::command& c) const { return std::visit([this](const auto& one) { return of(one); }, c); }
    // Of what `judge` lets pass; fills in what must be answered.
    void post(const ledger::command& c, verdict& v) {
        v.seq = ++seq;
        std::visit([&](const auto& one) { take(one, v); }, c);
    }

private:
    [[nodiscard]] verdict of(const ledger::gift_command& g) const {
        using enum ledger::status;
        if (g.lookup_only) return {refused_by_caller};
        if (g.price <= 0 || g.price % coin != 0 || g.quantity <= 0) return {invalid};
        const auto who = holders.find(g.payer.value);
        if (who == holders.end()) return {unknown_account};
        if (!routes.contains(g.route.value)) return {unknown_route};
        return {spend(who->second, coins_of(g.payer.value), g.price)};
    }
    static ledger::status spend(const holder& who, std::int64_t has, std::int64_t price) {
        using enum ledger::status;
        if (has < price) return insufficient_coins;
        if (who.frozen) return account_frozen;
        return who.left() < price ? spend_limit : posted;
    }
    [[nodiscard]] verdict of(const ledger::entry_command& e) const {
        using enum ledger::status;
        std::unordered_map<std::string, std::int64_t> sums;
        std::int64_t total = 0;
        for (const auto& [name, amount] : e.legs) {
            sums[name] += amount;
            total += amount;
        }
        bool bad = total != 0 || e.legs.size() == 1 || (e.legs.empty() && e.kind != "marker") || e.kind == "gossip";
        bool dry = false;
        verdict out;
        for (const auto& [name, sum] : sums) {
            const auto after = amount(name) + sum;
            bad = bad || kind_of(name) == "nowhere" || (whole(name) && after % coin != 0);
            dry = dry || (floored(name) && after < 0);
            if (e.kind != "hold" || kind_of(name) != "wallet" || sum >= 0) continue;
            const auto who = holders.find(owner_of(name));
            out.state = who == holders.end() ? unknown_account : spend(who->second, amount(name), -sum);
        }
        if (out.state == posted && dry) out.state = insufficient_coins;
        out.fault = bad && out.state == posted;
        out.loose = bad && out.state != posted;
        return out;
    }
    void add(const std::string& name, std::int64_t amount) {
        auto& a = accounts[name];
        a.amount += amount;
        ++a.version;
    }
    void take(const ledger::gift_command& g, verdict& v) {
        const auto u = std::to_string(g.payer.value);
        v.bonus_part = std::min(amount("bonus:" + u), g.price);
        v.gift_only_part = std::min(amount("gift_only:" + u), g.price - v.bonus_part);
        const auto paid_part = g.price - v.bonus_part - v.gift_only_part;
        if (v.bonus_part != 0) add("bonus:" + u, -v.bonus_part);
        if (v.gift_only_part != 0) add("gift_only:" + u, -v.gift_only_part);
        if (paid_part != 0) add("wallet:" + u, -paid_part);
        for (const auto& [name, amount] : credits(routes.at(g.route.value), g.price, v.bonus_part)) add(name, amount);
        holders.at(g.payer.value).spent += g.price;
        v.paid = amount("wallet:" + u);
        v.gift_only = amount("gift_only:" + u);
        v.bonus = amount("bonus:" + u);
    }
    void take(const ledger::entry_command& e, verdict&) {
        for (const auto& [name, amount] : e.legs) {
            add(name, amount);
            // A hold is a spend, and its release gives it back to the day.
            if (kind_of(name) == "wallet" && ((e.kind == "hold" && amount < 0) || (e.kind == "release" && amount > 0))) holders.at(owner_of(name)).spent -= amount;
        }
    }
};

}  // namespace ovation::model
