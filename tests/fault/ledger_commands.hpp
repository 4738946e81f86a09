// Random commands of every kind, and what must be answered to each. All follow from the seed: neither from the answers nor from
// the time that anything takes.
#pragma once
#include <map>
#include <optional>
#include <random>
#include <set>

#include "tests/fault/ledger_model.hpp"

namespace ovation::model {

struct step {
    ledger::command what;
    verdict want;
};

// How the commands of a wave stand to each other.
enum class order {
    kept,    // as they are sent
    doubt,   // a COMMIT may be unknown: what was refused is then judged again, after the rest of its batch, and must be refused again
    free,    // any: nothing that is posted depends on another
};

class stream {
public:
    // Users 1 … n have wallets. `base_ms`: about now; keys lie around it.
    stream(std::uint64_t seed, std::int64_t users, std::int64_t base_ms) : dice_(seed), base_ms_(base_ms) {
        for (std::int64_t u = 1; u <= users; ++u) open(u);
    }
    bool faults_apart = false;  // only in waves with poison: one fault has the set-based functions post a whole batch one by one
    books expected;
    std::map<std::string, std::int64_t> counts;

    std::int64_t roll(std::int64_t most) { return std::uniform_int_distribution<std::int64_t>(0, most - 1)(dice_); }
    void add_route(std::int64_t id, route r) {
        routes_.push_back(id);
        expected.routes[id] = std::move(r);
    }
    // `poison`: also what PostgreSQL alone refuses, and with it the batch that it is in.
    std::vector<step> wave(std::size_t size, order o, bool poison) {
        std::vector<step> out;
        closed_.clear();
        known_.reset();
        for (int tries = 0; out.size() < size && tries < 100'000; ++tries) {
            auto made = o != order::free ? make(poison) : poison && out.size() == size / 2 ? bad_entry() : make_free();
            if (!made) continue;
            auto& s = *made;
            if (known_) {
                s.want = *known_;
            } else {
                s.want = expected.judge(s.what);
                if (s.want.fault && !poison && faults_apart) continue;
                if (o == order::doubt && !stays(s)) continue;
                if (o == order::free && !s.want.posts() && !s.want.fault) continue;
                if (s.want.posts()) expected.post(s.what, s.want);
            }
            count(s);
            remember(s);
            out.push_back(std::move(s));
        }
        end_wave();
        return out;
    }
    // A change of limits, as SQL; all answers must be in.
    std::string change() {
        const auto u = user();
        auto& h = expected.holders.at(u);
        const auto id = " where user_id = " + std::to_string(u);
        // Close to what is spent, or far: the day goes on as long as the run does.
        const auto room = roll(3) == 0 ? roll(3'000) - 200 : roll(300'000);
        const auto limit = std::max<std::int64_t>(0, (h.spent / coin + room) * coin);
        switch (roll(7)) {
            case 0:
            case 1: {
                const bool in_force = h.raised >= 0 && h.raised_now;
                const auto now = in_force ? h.raised : h.limit;
                h.limit = std::min(limit, now);
                h.raised = limit > now ? limit : -1;
                h.raised_now = false;
                return "select ledger.set_daily_limit(" + std::to_string(u) + ", " + std::to_string(limit) + ")";
            }
            case 2:
                h.limit = limit;
                return "update ledger.wallet set daily_limit = " + std::to_string(limit) + id;
            case 3:
                h.raised = limit;
                h.raised_now = roll(2) == 0;
                return "update ledger.wallet set raised_limit = " + std::to_string(limit) + ", raised_from = now() " + (h.raised_now ? "- interval '1 minute'" : "+ interval '1 day'") + id;
            case 4:
                h.raised = -1;
                h.raised_now = false;
                return "update ledger.wallet set raised_limit = null, raised_from = null" + id;
            case 5: {
                // Somebody new, who may have got coins already.
                const auto fresh = stranger();
                if (expected.holders.contains(fresh)) return "select";
                open(fresh);
                return "select ledger.open_wallet(" + std::to_string(fresh) + ")";
            }
            default:
                // Few stay frozen.
                for (const auto one : users_)
                    if (expected.holders.at(one).frozen && roll(2) == 0) {
                        expected.holders.at(one).frozen = false;
                        return "update ledger.wallet set frozen = false where user_id = " + std::to_string(one);
                    }
                h.frozen = !h.frozen;
                return std::string("update ledger.wallet set frozen = ") + (h.frozen ? "true" : "false") + id;
        }
    }

private:
    struct paid {
        ledger::gift_command what;
        verdict want;
    };
    template <class T>
    T& one_of(std::vector<T>& from) { return from[static_cast<std::size_t>(roll(static_cast<std::int64_t>(from.size())))]; }
    template <class T>
    T take_from(std::vector<T>& from) {
        std::swap(one_of(from), from.back());
        T out = std::move(from.back());
        from.pop_back();
        return out;
    }
    // So many are remembered; old ones are forgotten by chance, so that some become very old.
    template <class T>
    void keep(std::vector<T>& in, T one, std::size_t most = 20'000) {
        if (in.size() < most) in.push_back(std::move(one));
        else one_of(in) = std::move(one);
    }
    void open(std::int64_t u) {
        users_.push_back(u);
        expected.holders[u] = {};
    }
    std::int64_t user() { return roll(3) == 0 ? users_[static_cast<std::size_t>(roll(std::min<std::int64_t>(5, static_cast<std::int64_t>(users_.size()))))] : one_of(users_); }
    std::int64_t stranger() { return 900'000 + roll(40); }
    std::string wallet() { return "wallet:" + std::to_string(user()); }
    std::string earner() { return "earnings:" + std::to_string(701 + roll(6)); }
    std::int64_t some(std::int64_t most) { return (1 + roll(most)) * coin; }
    uuid gift_key() {
        constexpr std::int64_t hour = 3'600'000;
        const auto ms = static_cast<std::uint64_t>(roll(4) == 0 ? base_ms_ - 7 * 24 * hour + roll(8 * 24 * hour - 24 * hour) : base_ms_ + roll(hour));
        const auto a = dice_(), b = dice_();
        uuid k;
        for (std::size_t i = 0; i < 6; ++i) k.bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
        for (std::size_t i = 6; i < 8; ++i) k.bytes[i] = static_cast<std::uint8_t>(b >> (8 * i));
        for (std::size_t i = 8; i < 16; ++i) k.bytes[i] = static_cast<std::uint8_t>(a >> (8 * (i - 8)));
        k.bytes[6] = static_cast<std::uint8_t>((k.bytes[6] & 0x0f) | 0x70);
        k.bytes[8] = static_cast<std::uint8_t>((k.bytes[8] & 0x3f) | 0x80);
        return k;
    }
    step entry(std::string kind, legs l, std::string reference = "", std::string detail = "{}") {
        return {ledger::entry_command{std::move(kind), "k" + std::to_string(++keys_), std::move(l), std::move(reference), std::move(detail)}, {}};
    }
    step gift() {
        ledger::gift_command g;
        g.key = gift_key();
        g.payer = user_id(user());
        g.route = route_id(one_of(routes_));
        g.item = 1 + roll(5);
        g.quantity = static_cast<std::int32_t>(1 + roll(3));
        g.room = room_id(1 + roll(3));
        g.performance = performance_id(roll(3));
        g.price = some(roll(4) == 0 ? 400 : 40);
        // At the edges: all that is there, all that the day allows, and a coin more.
        const auto has = expected.coins_of(g.payer.value), left = expected.holders.at(g.payer.value).left();
        if (const auto edge = roll(2) == 0 ? has : left; roll(8) == 0 && edge > 0 && edge < 5'000 * coin) g.price = edge + roll(2) * coin;
        return {std::move(g), {}};
    }
    std::optional<step> make_free() {
        known_.reset();
        auto s = roll(3) > 0 ? gift() : top_up(user());
        for (const auto u : owners(s.what))
            if (!closed_.insert(u).second) return {};
        return s;
    }
    step top_up(std::int64_t u) {
        const auto amount = some(roll(3) == 0 ? 3'000 : 300), fee = amount / 50;
        return entry("topup", {{"cash:sandbox", -amount - fee}, {"wallet:" + std::to_string(u), amount}, {"provider_fees", fee}}, "order:" + std::to_string(keys_));
    }

    std::optional<step> make(bool poison) {
        known_.reset();
        const auto what = roll(1'000);
        if (what < 200) return again();
        if (what < 220) return otherwise();
        if (what < 240) {
            if (refused_.empty()) return {};
            return step{take_from(refused_), {}};
        }
        if (what < 690) return gift();
        if (what < 760) return top_up(roll(20) == 0 ? stranger() : user());
        if (what < 800) {
            const auto amount = some(100);
            const auto u = std::to_string(user());
            return roll(4) == 0 ? entry("promo", {{"bonus:" + u, -amount}, {"promo", amount}}) : entry("promo", {{"promo", -amount}, {"bonus:" + u, amount}});
        }
        if (what < 830) {
            const auto fee = some(300), back = fee / coin / 2 * coin;
            const auto u = std::to_string(user());
            return entry("noble", {{"wallet:" + u, -fee}, {"gift_only:" + u, back}, {"platform", fee - back}});
        }
        if (what < 870) return move();
        if (what < 895) {
            const auto amount = some(100), id = ++holds_;
            return entry("hold", {{roll(30) == 0 ? "wallet:" + std::to_string(stranger()) : wallet(), -amount}, {"held:" + std::to_string(id), amount}}, "hold:" + std::to_string(id));
        }
        if (what < 920) return close_hold();
        if (what < 935) return refund();
        if (what < 945) return chargeback();
        if (what < 962) return pay_out();
        if (what < 972) return entry("marker", {}, "pk:" + std::to_string(keys_));
        return bad(poison);
    }
    std::optional<step> again() {
        if (roll(3) > 0) {
            if (gifts_.empty()) return {};
            const auto& old = one_of(gifts_);
            known_ = verdict{ledger::status::replayed};
            known_->seq = old.want.seq;
            auto g = old.what;
            // Who gets it and where it is sung are looked up anew for each send.
            if (roll(10) == 0) g.route = route_id(one_of(routes_));
            if (roll(10) == 0) g.performance = performance_id(77);
            if (roll(10) == 0) g.lookup_only = true;
            return step{std::move(g), {}};
        }
        if (entries_.empty()) return {};
        const auto& [old, seq] = one_of(entries_);
        known_ = verdict{ledger::status::replayed};
        known_->seq = seq;
        return step{old, {}};
    }
    std::optional<step> otherwise() {
        if (gifts_.empty() || entries_.empty()) return {};
        known_ = verdict{ledger::status::key_reused};
        if (roll(2) == 0) {
            const auto& old = one_of(gifts_);
            known_->seq = old.want.seq;
            auto g = old.what;
            switch (roll(5)) {
                case 0: g.price += coin; break;
                case 1: g.quantity += 1; break;
                case 2: g.item += 1; break;
                case 3: g.room = room_id(g.room.value + 1); break;
                default: g.payer = user_id(g.payer.value + 1);
            }
            return step{std::move(g), {}};
        }
        const auto& [old, seq] = one_of(entries_);
        known_->seq = seq;
        auto e = old;
        switch (roll(3)) {
            case 0: e.reference += "x"; break;
            case 1: e.kind = e.kind == "adjustment" ? "transfer" : "adjustment"; break;
            default:
                if (e.legs.empty()) e.reference += "x";
                else {
                    e.legs.front().second -= coin;
                    e.legs.back().second += coin;
                }
        }
        return step{std::move(e), {}};
    }
    step move() {
        const auto amount = some(60);
        switch (roll(5)) {
            case 0: {
                const auto from = wallet(), to = wallet();
                return entry("transfer", {{from, -amount}, {from == to ? "suspense" : to, amount}});
            }
            case 1: return entry("adjustment", {{wallet(), -amount}, {"suspense", amount}}, "case:" + std::to_string(keys_), R"({"why":"a \"case\""})");
            case 2: return entry("ticket", {{wallet(), -amount}, {"escrow:" + std::to_string(roll(3)), amount}});
            case 3: return entry("ticket", {{"escrow:" + std::to_string(roll(3)), -amount}, {"platform", amount}});
            default: {
                // An account twice, and nothing for another.
                const auto w = wallet();
                return entry("adjustment", {{"suspense", -3 * coin}, {w, coin}, {w, 2 * coin}, {"platform", 0}});
            }
        }
    }
    std::optional<step> close_hold() {
        if (roll(12) == 0) {
            if (closed_holds_.empty()) return {};
            const auto& [u, id, amount] = one_of(closed_holds_);
            return entry("release", {{"held:" + std::to_string(id), -amount}, {"wallet:" + std::to_string(u), amount}}, "hold:" + std::to_string(id));
        }
        if (roll(40) == 0) return entry("release", {{"held:none" + std::to_string(++holds_), -coin}, {wallet(), coin}});
        if (open_holds_.empty()) return {};
        const auto h = take_from(open_holds_);
        const auto& [u, id, amount] = h;
        closing_.push_back(h);
        const auto held = "held:" + std::to_string(id), reference = "hold:" + std::to_string(id);
        if (roll(2) == 0) return entry("release", {{held, -amount}, {"wallet:" + std::to_string(u), amount}}, reference);
        const auto by = one_of(routes_);
        legs l{{held, -amount}};
        for (auto& c : credits(expected.routes.at(by), amount, 0)) l.push_back(std::move(c));
        return entry("capture", std::move(l), reference, "{\"route\": " + std::to_string(by) + "}");
    }
    // The exact negation of a gift's legs.
    std::optional<step> refund() {
        if (gifts_.empty()) return {};
        const auto& [g, v] = one_of(gifts_);
        const auto u = std::to_string(g.payer.value);
        legs l;
        for (const auto& [name, amount] : credits(expected.routes.at(g.route.value), g.price, v.bonus_part)) l.emplace_back(name, -amount);
        if (v.bonus_part > 0) l.emplace_back("bonus:" + u, v.bonus_part);
        if (v.gift_only_part > 0) l.emplace_back("gift_only:" + u, v.gift_only_part);
        if (const auto rest = g.price - v.bonus_part - v.gift_only_part; rest > 0) l.emplace_back("wallet:" + u, rest);
        return entry("refund", std::move(l), std::to_string(v.seq));
    }
    step chargeback() {
        const auto amount = some(300);
        const auto w = wallet();
        if (roll(2) == 0) return entry("chargeback", {{"disputed", -amount}, {"cash:sandbox", amount}}, "case:" + std::to_string(keys_));
        // Lost: what the wallet has, and the rest from those who got it.
        const auto rest = std::min(expected.amount(w), amount);
        legs l{{"disputed", amount}};
        if (rest > 0) l.emplace_back(w, -rest);
        if (amount > rest) l.emplace_back("receivable:" + std::to_string(owner_of(w)), rest - amount);
        return entry("chargeback", std::move(l), "case:" + std::to_string(keys_));
    }
    step pay_out() {
        const auto who = earner(), transit = "payout_transit:" + who.substr(9);
        const auto has = expected.amount(who), under_way = expected.amount(transit);
        switch (roll(3)) {
            case 0: {
                const auto amount = roll(4) == 0 ? has + 1 : 1 + roll(has / 4 + 2), tax = amount * 3 / 100;
                return entry("payout", {{who, -amount}, {transit, amount - tax}, {"withholding", tax}});
            }
            case 1: return entry("payout", {{transit, -(under_way + roll(2))}, {"bank", under_way}, {"bank", 0}}, "paid");  // a micro too much does not sum to nothing
            default: {
                const auto amount = 1 + roll(under_way + 1);
                return entry("payout", {{transit, -amount}, {who, amount}}, "returned");
            }
        }
    }
    step bad_entry() { return entry("gossip", {{"suspense", -coin}, {"platform", coin}}); }
    step bad(bool poison) {
        auto g = gift();
        auto& gc = std::get<ledger::gift_command>(g.what);
        const auto amount = some(20);
        switch (roll(poison ? 15 : 13)) {
            case 0: gc.price = 0; return g;
            case 1: gc.price = -gc.price; return g;
            case 2: gc.price += 1 + roll(coin - 1); return g;
            case 3: gc.quantity = 0; return g;
            case 4: gc.price = INT64_MAX / coin * coin; return g;
            case 5: gc.payer = user_id(800'000 + roll(9)); return g;
            case 6: gc.route = route_id(404'404); return g;
            case 7: gc.lookup_only = true; return g;
            case 8: return entry("adjustment", {{"suspense", -amount}, {"platform", amount - 1}});
            case 9: return entry("adjustment", {{"suspense", -amount - coin / 2}, {wallet(), amount + coin / 2}});
            case 10: return entry("adjustment", {{"suspense", 0}});
            case 11: return roll(2) == 0 ? entry("topup", {}) : entry("hold", {{wallet(), -amount}, {"held:" + std::to_string(++holds_), amount + 1}});
            // Half a coin here, and more than there is there.
            case 12: return entry("transfer", {{wallet(), -1'000'000'000 * coin + coin / 2}, {wallet(), coin / 2}, {"suspense", 1'000'000'000 * coin - coin}});
            case 13: return entry("adjustment", {{"suspense", -amount}, {"nowhere:1", amount}});
            default: return bad_entry();
        }
    }

    static std::vector<std::int64_t> owners(const ledger::command& c) {
        if (const auto* g = std::get_if<ledger::gift_command>(&c)) return {g->payer.value};
        std::vector<std::int64_t> out;
        for (const auto& leg : std::get<ledger::entry_command>(c).legs)
            if (const auto u = owner_of(leg.first); u != 0) out.push_back(u);
        return out;
    }
    // Whether this is answered alike when it is judged once more later in the wave. Whoever was refused for his balance or his
    // limit gets and gives nothing more in it.
    bool stays(const step& s) {
        const auto who = owners(s.what);
        if (s.want.posts()) return std::ranges::none_of(who, [&](auto u) { return closed_.contains(u); });
        if (!s.want.fault && s.want.state < ledger::status::insufficient_coins) return true;
        if (std::holds_alternative<ledger::entry_command>(s.what))
            for (const auto& leg : std::get<ledger::entry_command>(s.what).legs)
                if (floored(leg.first) && owner_of(leg.first) == 0 && leg.second < 0) return false;
        closed_.insert(who.begin(), who.end());
        return true;
    }
    void remember(const step& s) {
        if (known_) return;
        if (s.want.fault) return;
        if (!s.want.posts()) {
            if (s.want.state != ledger::status::invalid) fresh_refused_.push_back(s.what);
            return;
        }
        if (const auto* g = std::get_if<ledger::gift_command>(&s.what)) {
            keep(gifts_, {*g, s.want});
            return;
        }
        const auto& e = std::get<ledger::entry_command>(s.what);
        keep(entries_, {e, s.want.seq});
        if (e.kind == "hold") fresh_holds_.push_back({owner_of(e.legs[0].first), std::stoll(e.legs[1].first.substr(5)), e.legs[1].second});
    }
    void end_wave() {
        for (auto& c : fresh_refused_) {
            if (auto* g = std::get_if<ledger::gift_command>(&c)) g->lookup_only = false;
            keep(refused_, std::move(c), 1'000);
        }
        for (auto& h : fresh_holds_) open_holds_.push_back(h);
        // One that was not closed after all (its wave had no place for it) stays open.
        for (auto& h : closing_) {
            if (expected.amount("held:" + std::to_string(h.id)) == 0) keep(closed_holds_, h, 1'000);
            else open_holds_.push_back(h);
        }
        fresh_refused_.clear();
        fresh_holds_.clear();
        closing_.clear();
    }
    void count(const step& s) {
        static constexpr const char* names[] = {"posted", "replayed", "key_reused", "refused_by_caller", "invalid", "unknown_account", "unknown_route", "insufficient_coins", "account_frozen", "spend_limit"};
        const auto* e = std::get_if<ledger::entry_command>(&s.what);
        ++counts[(e ? e->kind : "gift") + (s.want.fault ? " fault" : std::string(" ") + names[static_cast<int>(s.want.state)])];
    }

    struct hold {
        std::int64_t user, id, amount;
    };
    std::mt19937_64 dice_;
    std::int64_t base_ms_, keys_ = 0, holds_ = 0;
    std::vector<std::int64_t> users_, routes_;
    std::optional<verdict> known_;  // of the command that was made last, when its key is known
    std::set<std::int64_t> closed_;
    std::vector<paid> gifts_;
    std::vector<std::pair<ledger::entry_command, std::int64_t>> entries_;
    std::vector<ledger::command> refused_, fresh_refused_;
    std::vector<hold> open_holds_, fresh_holds_, closing_, closed_holds_;
};

}  // namespace ovation::model
