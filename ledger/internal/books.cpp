#include "ledger/internal/books.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/money.hpp"

namespace ovation::ledger {
namespace {
const fault not_taken = internal_fault("The ledger could not take this. Nothing was charged.");
}

purse* books::purse_of(std::int64_t user) {
    const auto at = purses_.find(user);
    return at == purses_.end() ? nullptr : &at->second;
}
route* books::route_of(std::int64_t id) {
    const auto at = routes_.find(id);
    return at == routes_.end() ? nullptr : &at->second;
}
account* books::account_of(std::int64_t id) {
    const auto at = accounts_.find(id);
    return at == accounts_.end() ? nullptr : &at->second;
}
account& books::put_account(std::int64_t id, bool floored, bool whole_coins, std::int64_t amount, std::int64_t version) {
    auto [at, fresh] = accounts_.try_emplace(id);
    if (fresh) at->second = {id, floored, whole_coins, false, amount, version, 0, 0};
    return at->second;
}
purse& books::put_purse(purse made) {
    auto [at, fresh] = purses_.try_emplace(made.user, made);
    if (fresh) at->second.place = used_.insert(used_.end(), made.user);
    return at->second;
}
route& books::put_route(std::int64_t id, route made) {
    auto [at, fresh] = routes_.try_emplace(id, std::move(made));
    for (auto* a : at->second.to) a->pinned = true;
    return at->second;
}

void books::begin(std::int64_t from_seq, std::int64_t at_us, std::int64_t day) {
    ++batch_;
    from_seq_ = next_seq_ = from_seq;
    at_us_ = at_us;
    day_ = day;
    pushed_ = 0;
    gifts_.clear();
    entries_.clear();
    leaves_.clear();
    given_back_.clear();
    write_accounts_.clear();
    write_spends_.clear();
    accounts_before_.clear();
    purses_before_.clear();
    taken_.clear();
}

void books::push(waiting_row w) {
    order_.push_back(w);
    ++pushed_;
}
void books::touch(account& a) {
    if (a.touched == batch_) return;
    accounts_before_.emplace_back(&a, a);
    a.touched = batch_;
}
void books::touch(purse& p) {
    if (p.touched == batch_) return;
    purses_before_.push_back({&p, p.day, p.spent, p.unsaved_from});
    p.touched = batch_;
}
void books::add(account& a, std::int64_t amount, std::int64_t seq) {
    if (amount == 0) return;
    touch(a);
    a.amount += amount;
    ++a.version;
    if (a.unsaved_from == 0) {
        a.unsaved_from = seq;
        push({seq, a.id, {}});
    }
}
void books::use(purse& p) { used_.splice(used_.end(), used_, p.place); }
// Yesterday's spending goes its own way to its row.
void books::turn_day(purse& p) {
    if (p.day == day_) return;
    touch(p);
    if (p.unsaved_from != 0) push({p.unsaved_from, 0, {p.user, p.day, p.spent, 0}});
    p.day = day_;
    p.spent = 0;
    p.unsaved_from = 0;
}
void books::spend(purse& p, std::int64_t amount, std::int64_t seq) {
    touch(p);
    p.spent += amount;
    if (p.unsaved_from == 0) {
        p.unsaved_from = seq;
        push({seq, 0, {p.user, p.day, 0, seq}});
    }
}

outcome books::judge(const gift_command& g, const known_gift* known) {
    outcome out;
    auto* p = purse_of(g.payer.value);
    const auto balances = [&] {
        if (!p) return;
        out.paid = p->paid->amount;
        out.gift_only = p->gift_only->amount;
        out.bonus = p->bonus->amount;
    };
    const auto say = [&](status s) {
        out.state = s;
        balances();
        return out;
    };
    if (known) {
        out.seq = entry_seq(known->seq);
        return say(known->payer == g.payer.value && known->item == g.item && known->quantity == g.quantity && known->room == g.room.value && known->price == g.price ? status::replayed
                                                                                                                                                                  : status::key_reused);
    }
    if (g.lookup_only) return say(status::refused_by_caller);
    if (g.price <= 0 || g.price % micros_per_coin != 0 || g.quantity <= 0) return say(status::invalid);
    if (!p) return say(status::unknown_account);
    const auto* r = route_of(g.route.value);
    if (!r) return say(status::unknown_route);
    use(*p);
    turn_day(*p);
    if (p->bonus->amount + p->gift_only->amount + p->paid->amount < g.price) return say(status::insufficient_coins);
    if (p->frozen) return say(status::account_frozen);
    if (limit_of(*p) - p->spent < g.price) return say(status::spend_limit);

    gift_row row;
    row.seq = next_seq_++;
    row.key = g.key;
    row.at_us = at_us_;
    row.payer = p->user;
    row.route = g.route.value;
    row.item = g.item;
    row.room = g.room.value;
    row.performance = g.performance.value;
    row.price = g.price;
    row.bonus = std::min(p->bonus->amount, g.price);
    row.gift_only = std::min(p->gift_only->amount, g.price - row.bonus);
    row.legs = split(g.price, row.bonus, r->text.rule);
    row.quantity = g.quantity;
    add(*p->bonus, -row.bonus, row.seq);
    add(*p->gift_only, -row.gift_only, row.seq);
    add(*p->paid, -(row.price - row.bonus - row.gift_only), row.seq);
    const std::array<std::int64_t, 7> legs{row.legs.vat, row.legs.rights, row.legs.singer, row.legs.agent, row.legs.venue, row.legs.platform, row.legs.promo};
    for (std::size_t i = 0; i < legs.size(); ++i) add(*r->to[i], legs[i], row.seq);
    spend(*p, g.price, row.seq);
    leaves_.push_back(leaf_of(row, r->digest, p->salt));
    out.seq = entry_seq(row.seq);
    gifts_.push_back(std::move(row));
    return say(status::posted);
}

// A hold on a wallet is a spend.
status books::judge_hold(const entry_command& e, const entry_facts& facts) const {
    const auto* p = facts.holder;
    if (!p) return status::unknown_account;
    const auto price = held_from(e, facts);
    if (p->paid->amount < price) return status::insufficient_coins;
    if (p->frozen) return status::account_frozen;
    if (limit_of(*p) - (p->day == day_ ? p->spent : 0) < price) return status::spend_limit;
    return status::posted;
}
std::int64_t books::held_from(const entry_command& e, const entry_facts& facts) {
    std::int64_t out = 0;
    for (std::size_t i = 0; i < e.legs.size(); ++i)
        if (facts.accounts[i] == facts.holder->paid) out -= e.legs[i].second;
    return out;
}

bool books::would_post(const entry_command& e, const entry_facts& facts) const {
    if (facts.holds && judge_hold(e, facts) != status::posted) return false;
    std::unordered_map<const account*, std::int64_t> sums;
    for (std::size_t i = 0; i < e.legs.size(); ++i)
        if (facts.accounts[i]) sums[facts.accounts[i]] += e.legs[i].second;
    return std::ranges::none_of(sums, [](const auto& s) { return s.first->floored && s.first->amount + s.second < 0; });
}

result<outcome> books::judge(const entry_command& e, const known_entry* known, const entry_facts& facts) {
    outcome out;
    if (known) {
        bool same = known->kind == e.kind && known->reference == e.reference && known->names.size() == e.legs.size();
        for (std::size_t i = 0; same && i < e.legs.size(); ++i) same = known->names[i] == e.legs[i].first && known->amounts[i] == e.legs[i].second;
        out.state = same ? status::replayed : status::key_reused;
        out.seq = entry_seq(known->seq);
        return out;
    }
    __int128 total = 0;
    for (const auto& [name, amount] : e.legs) total += amount;
    if (total != 0 || e.legs.size() == 1 || (e.legs.empty() && e.kind != "marker")) return not_taken;

    std::unordered_map<account*, std::int64_t> sums;
    for (std::size_t i = 0; i < e.legs.size(); ++i)
        if (facts.accounts[i] && __builtin_add_overflow(sums[facts.accounts[i]], e.legs[i].second, &sums[facts.accounts[i]])) return not_taken;
    if (facts.holds) {
        out.state = judge_hold(e, facts);
        if (out.state != status::posted) return out;
        use(*facts.holder);
        turn_day(*facts.holder);
    }
    for (const auto& [a, amount] : sums) {
        std::int64_t after = 0;
        if (__builtin_add_overflow(a->amount, amount, &after)) return not_taken;
        if (a->floored && after < 0) {
            out.state = status::insufficient_coins;
            return out;
        }
        if (a->whole_coins && after % micros_per_coin != 0) return not_taken;
    }
    if (std::ranges::find(facts.accounts, nullptr) != facts.accounts.end()) return not_taken;

    entry_row row;
    row.seq = next_seq_++;
    row.kind = e.kind;
    row.key = e.key;
    row.at_us = at_us_;
    row.reference = e.reference;
    row.detail = e.detail_json;
    if (facts.holds) {
        auto detail = boost::json::parse(e.detail_json).as_object();
        detail["day"] = date_text(day_);
        row.detail = boost::json::serialize(detail);
    }
    crypto::random_bytes(row.salt);
    for (std::size_t i = 0; i < e.legs.size(); ++i) {
        auto* a = facts.accounts[i];
        row.accounts.push_back(a->id);
        row.names.push_back(e.legs[i].first);
        row.amounts.push_back(e.legs[i].second);
        touch(*a);
        a->amount += e.legs[i].second;
        ++a->version;
        if (a->unsaved_from == 0) a->unsaved_from = row.seq;
        write_accounts_.push_back(a);
    }
    if (facts.holds) {
        spend(*facts.holder, held_from(e, facts), row.seq);
        write_spends_.push_back(facts.holder);
    }
    if (e.kind == "release" && facts.hold_day != 0) {
        if (auto* p = facts.holder; p && p->day == facts.hold_day) {
            spend(*p, -sums[p->paid], row.seq);
            write_spends_.push_back(p);
        } else {
            std::int64_t back = 0;
            for (const auto& [name, amount] : e.legs)
                if (name.starts_with("wallet:") && amount > 0) back += amount;
            given_back_.push_back({facts.holder ? facts.holder->user : 0, facts.hold_day, back});
        }
    }
    out.state = status::posted;
    out.seq = entry_seq(row.seq);
    leaves_.push_back(leaf_of(row));
    entries_.push_back(std::move(row));
    return out;
}

bool books::stale(const waiting_row& w) const {
    if (w.spend.user == 0) {
        const auto at = accounts_.find(w.account);
        return at == accounts_.end() || at->second.unsaved_from != w.from;
    }
    if (w.spend.unsaved_from == 0) return false;  // a day that is over
    const auto at = purses_.find(w.spend.user);
    return at == purses_.end() || at->second.unsaved_from != w.from;
}

slice books::take_slice(std::size_t most) {
    slice out;
    std::unordered_set<const void*> in;
    const auto account_too = [&](account* a) {
        if (in.insert(a).second) out.accounts.push_back(a);
    };
    const auto spend_too = [&](purse* p) {
        if (in.insert(p).second) out.spends.push_back({p->user, p->day, p->spent, p->unsaved_from});
    };
    for (auto* a : write_accounts_) account_too(a);
    for (auto* p : write_spends_) spend_too(p);
    while (!order_.empty() && (taken_.size() < most || stale(order_.front()))) {
        auto w = order_.front();
        order_.pop_front();
        if (stale(w)) continue;
        taken_.push_back(w);
        if (w.spend.user == 0) account_too(&accounts_.at(w.account));
        else if (w.spend.unsaved_from == 0) out.spends.push_back(w.spend);
        else spend_too(&purses_.at(w.spend.user));
    }
    return out;
}
std::int64_t books::saved_up_to() const {
    // Stale rows at the front are saved already; they only make this more careful than it need be.
    return order_.empty() ? next_seq_ - 1 : std::min(order_.front().from, next_seq_) - 1;
}
void books::keep(const slice& s) {
    for (auto* a : s.accounts) a->unsaved_from = 0;
    for (const auto& p : s.spends)
        if (auto* of = purse_of(p.user); of && of->day == p.day) of->unsaved_from = 0;
    evict();
}
void books::undo(const slice&) {
    for (auto& [a, before] : accounts_before_) *a = before;
    for (auto& p : purses_before_) {
        p.which->day = p.day;
        p.which->spent = p.spent;
        p.which->unsaved_from = p.unsaved_from;
    }
    for (auto w = taken_.rbegin(); w != taken_.rend(); ++w) order_.push_front(*w);
    for (; pushed_ > 0; --pushed_) order_.pop_back();
    next_seq_ = from_seq_;
    gifts_.clear();
    entries_.clear();
    leaves_.clear();
}
void books::evict() {
    while (purses_.size() > wallets_max_) {
        const auto at = purses_.find(used_.front());
        const auto& p = at->second;
        if (p.unsaved_from != 0) return;
        for (const auto* a : {p.paid, p.gift_only, p.bonus})
            if (a->unsaved_from != 0) return;
        for (const auto id : {p.paid->id, p.gift_only->id, p.bonus->id})
            if (!accounts_.at(id).pinned) accounts_.erase(id);
        used_.pop_front();
        purses_.erase(at);
    }
}
void books::clear() {
    accounts_.clear();
    purses_.clear();
    routes_.clear();
    used_.clear();
    order_.clear();
}

}  // namespace ovation::ledger
