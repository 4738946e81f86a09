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
account& books::put_account(account made) { return accounts_.try_emplace(made.id, made).first->second; }
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

plan books::begin(std::int64_t from_seq, std::int64_t at_us, std::int64_t day) {
    plan out;
    out.id = ++plans_;
    out.from_seq = out.next_seq = from_seq;
    out.at_us = at_us;
    out.day = day;
    return out;
}

void books::push(plan& to, plan::waiting_row w) {
    order_.push_back(w);
    ++to.pushed;
}
void books::touch(plan& to, account& a) {
    if (a.touched == to.id) return;
    to.accounts_before.emplace_back(&a, a);
    a.touched = to.id;
}
void books::add(plan& to, account& a, std::int64_t amount, std::int64_t seq) {
    if (amount == 0) return;
    touch(to, a);
    a.amount += amount;
    ++a.version;
    if (a.unsaved_from == 0) {
        a.unsaved_from = seq;
        push(to, {seq, a.id});
    }
}
void books::use(purse& p) { used_.splice(used_.end(), used_, p.place); }
// Of the plan's day, on which a new day's count begins.
void books::spend(plan& to, account& a, std::int64_t amount, std::int64_t seq) {
    touch(to, a);
    if (a.day != to.day) {
        a.day = to.day;
        a.spent = 0;
    }
    a.spent += amount;
    if (a.unsaved_from == 0) {
        a.unsaved_from = seq;
        push(to, {seq, a.id});
    }
}

outcome books::judge(plan& to, const gift_command& g, const known_gift* known) {
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
    if (p->bonus->amount + p->gift_only->amount + p->paid->amount < g.price) return say(status::insufficient_coins);
    if (p->frozen) return say(status::account_frozen);
    if (limit_of(to, *p) - spent_on(to, *p) < g.price) return say(status::spend_limit);

    gift_row row;
    row.seq = to.next_seq++;
    row.key = g.key;
    row.at_us = to.at_us;
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
    add(to, *p->bonus, -row.bonus, row.seq);
    add(to, *p->gift_only, -row.gift_only, row.seq);
    add(to, *p->paid, -(row.price - row.bonus - row.gift_only), row.seq);
    const std::array<std::int64_t, 7> legs{row.legs.vat, row.legs.rights, row.legs.singer, row.legs.agent, row.legs.venue, row.legs.platform, row.legs.promo};
    for (std::size_t i = 0; i < legs.size(); ++i) add(to, *r->to[i], legs[i], row.seq);
    spend(to, *p->paid, g.price, row.seq);
    to.leaves.push_back(leaf_of(row, r->digest, p->salt));
    out.seq = entry_seq(row.seq);
    to.gifts.push_back(std::move(row));
    return say(status::posted);
}

// A hold on a wallet is a spend.
status books::judge_hold(const plan& to, const entry_command& e, const entry_facts& facts) {
    const auto* p = facts.holder;
    if (!p) return status::unknown_account;
    const auto price = held_from(e, facts);
    if (p->paid->amount < price) return status::insufficient_coins;
    if (p->frozen) return status::account_frozen;
    if (limit_of(to, *p) - spent_on(to, *p) < price) return status::spend_limit;
    return status::posted;
}
std::int64_t books::held_from(const entry_command& e, const entry_facts& facts) {
    std::int64_t out = 0;
    for (std::size_t i = 0; i < e.legs.size(); ++i)
        if (facts.accounts[i] == facts.holder->paid) out -= e.legs[i].second;
    return out;
}

bool books::would_post(const plan& to, const entry_command& e, const entry_facts& facts) const {
    if (facts.holds && judge_hold(to, e, facts) != status::posted) return false;
    std::unordered_map<const account*, std::int64_t> sums;
    for (std::size_t i = 0; i < e.legs.size(); ++i)
        if (facts.accounts[i]) sums[facts.accounts[i]] += e.legs[i].second;
    return std::ranges::none_of(sums, [](const auto& s) { return s.first->floored && s.first->amount + s.second < 0; });
}

result<outcome> books::judge(plan& to, const entry_command& e, const known_entry* known, const entry_facts& facts) {
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
    if (total != 0 || e.legs.size() == 1 || (e.legs.empty() && !may_move_nothing(e.kind))) return not_taken;

    std::unordered_map<account*, std::int64_t> sums;
    for (std::size_t i = 0; i < e.legs.size(); ++i)
        if (facts.accounts[i] && __builtin_add_overflow(sums[facts.accounts[i]], e.legs[i].second, &sums[facts.accounts[i]])) return not_taken;
    if (facts.holds) {
        out.state = judge_hold(to, e, facts);
        if (out.state != status::posted) return out;
        use(*facts.holder);
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
    boost::system::error_code bad;
    auto detail = boost::json::parse(e.detail_json, bad);
    if (bad || !detail.is_object()) return not_taken;

    entry_row row;
    row.seq = to.next_seq++;
    row.kind = e.kind;
    row.key = e.key;
    row.at_us = to.at_us;
    row.reference = e.reference;
    row.detail = e.detail_json;
    if (facts.holds) {
        detail.as_object()["day"] = date_text(to.day);
        row.detail = boost::json::serialize(detail);
    }
    crypto::random_bytes(row.salt);
    for (std::size_t i = 0; i < e.legs.size(); ++i) {
        auto* a = facts.accounts[i];
        row.accounts.push_back(a->id);
        row.names.push_back(e.legs[i].first);
        row.amounts.push_back(e.legs[i].second);
        touch(to, *a);
        a->amount += e.legs[i].second;
        ++a->version;
        if (a->unsaved_from == 0) a->unsaved_from = row.seq;
        to.write_accounts.push_back(a);
    }
    if (facts.holds) spend(to, *facts.holder->paid, held_from(e, facts), row.seq);
    // To the day of its hold, if the wallet has given nothing on a later one.
    if (e.kind == "release" && facts.hold_day != 0 && facts.holder && facts.holder->paid->day == facts.hold_day) facts.holder->paid->spent -= sums[facts.holder->paid];
    out.state = status::posted;
    out.seq = entry_seq(row.seq);
    to.leaves.push_back(leaf_of(row));
    to.entries.push_back(std::move(row));
    return out;
}

bool books::stale(const plan::waiting_row& w) const {
    const auto at = accounts_.find(w.account);
    return at == accounts_.end() || at->second.unsaved_from != w.from;
}

void books::seal(plan& p, std::size_t most) {
    const auto put = [&](account& a, saved_rows& into) {
        if (a.unsaved_from == 0) return;
        p.cleaned.emplace_back(&a, a.unsaved_from);
        a.unsaved_from = 0;
        a.touched = p.id;
        into.rows.push_back({a.id, a.amount, a.version, a.spent, a.day});
    };
    for (auto* a : p.write_accounts) put(*a, p.with);
    if (saving()) most = 0;
    for (std::size_t n = 0; !order_.empty() && (n < most || stale(order_.front()));) {
        const auto w = order_.front();
        order_.pop_front();
        p.taken.push_back(w);
        if (stale(w)) continue;
        ++n;
        put(accounts_.at(w.account), p.behind);
    }
    p.with.as_of = p.behind.as_of = p.last_seq();
    p.behind.up_to = order_.empty() ? p.last_seq() : std::min(order_.front().from - 1, p.last_seq());
}
void books::keep(const plan& p) {
    committed_ = p.id;
    for (const auto& r : p.behind.rows) on_the_way_.insert(r.account);
}
void books::saved() { on_the_way_.clear(); }
bool books::collides(const plan& p) const {
    return saving() && std::ranges::any_of(p.with.rows, [&](const auto& r) { return on_the_way_.contains(r.account); });
}
void books::undo(plan& p) {
    for (auto& [a, from] : p.cleaned) a->unsaved_from = from;
    for (auto& [a, before] : p.accounts_before) *a = before;
    for (auto w = p.taken.rbegin(); w != p.taken.rend(); ++w) order_.push_front(*w);
    for (; p.pushed > 0; --p.pushed) order_.pop_back();
}
// Only what stands in its row, by a plan that was committed, may be read from there again.
void books::evict() {
    while (!saving() && purses_.size() > wallets_max_) {
        const auto at = purses_.find(used_.front());
        const auto& p = at->second;
        for (const auto* a : {p.paid, p.gift_only, p.bonus})
            if (a->unsaved_from != 0 || a->touched > committed_) return;
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
    on_the_way_.clear();
}

}  // namespace ovation::ledger
