#include "ledger/internal/recount.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <future>
#include <numeric>

#include "base/money.hpp"

namespace ovation::ledger {

std::uint64_t recount::short_key(const uuid& key) { return std::hash<uuid>()(key); }
std::uint64_t recount::short_key(const std::string& key) { return std::hash<std::string>()(key); }

void recount::move(standing& a, std::int64_t amount) {
    a.amount += amount;
    ++a.version;
}
template <std::size_t N>
std::array<recount::standing*, N>& recount::seats_of(seats<N>& of, std::size_t place, const std::array<std::int64_t, N>& ids) {
    if (of.size() <= place) of.resize(std::max(place + 1, of.size() * 2));
    auto& its = of[place];
    if (!its[0])
        for (std::size_t i = 0; i < N; ++i) its[i] = &accounts[ids[i]];
    return its;
}
void recount::check(const standing& a, std::int64_t account, std::int64_t seq) {
    floors.count(!a.floored || a.amount >= 0, [&] { return fmt::format("account {} at seq {}", account, seq); });
    coins.count(!a.whole_coins || a.amount % micros_per_coin == 0, [&] { return fmt::format("account {} at seq {}", account, seq); });
}

std::int64_t recount::day_of(std::int64_t at_us) const {
    return first_day + (std::ranges::upper_bound(day_starts, at_us) - day_starts.begin()) - 1;
}

// Gifts, and holds, less what was released of that day's.
void recount::spend(standing& a, std::int64_t day, std::int64_t amount) {
    if (day > a.day) {
        a.day = day;
        a.spent = 0;
    }
    if (day == a.day) a.spent += amount;
}

void recount::take(const journal_page& page) {
    for (const auto& one : page.accounts) {
        auto& a = accounts[one.id];
        a.floored = one.floored;
        a.whole_coins = one.whole_coins;
        if (one.user != 0) wallet_users[one.id] = one.user;
    }
    for (std::size_t g = 0, e = 0; g < page.gifts.size() || e < page.entries.size();) {
        const bool gift = e == page.entries.size() || (g < page.gifts.size() && page.gifts[g].seq <= page.entries[e].seq);
        const auto seq = gift ? page.gifts[g].seq : page.entries[e].seq;
        numbers.count(seq == next_, [&] { return fmt::format("{} stands where {} should", seq, next_); });
        next_ = seq + 1;
        if (gift) {
            const auto& row = page.gifts[g];
            const auto* r = page.routes[g];
            const auto* w = page.wallets[g];
            const auto got = got_legs(row);
            sums.count(std::accumulate(got.begin(), got.end(), std::int64_t{0}) == row.price, [&] { return std::to_string(seq); });
            keep(short_key(row.key));
            splits.count(r && split(row.price, row.bonus, r->text.rule) == row.legs, [&] { return fmt::format("seq {}", seq); });
            // A gift's leg of nought is no posting; an entry's is.
            const auto all = [&](const auto& its, const auto& ids, const auto& amounts) {
                for (std::size_t i = 0; i < amounts.size(); ++i) {
                    if (amounts[i] == 0) continue;
                    move(*its[i], amounts[i]);
                    check(*its[i], ids[i], seq);
                }
            };
            if (w) {
                auto& its = seats_of(wallet_seats_, w->place, w->accounts);
                all(its, w->accounts, paid_legs(row));
                spend(*its[2], day_of(row.at_us), row.price);
            }
            if (r) all(seats_of(route_seats_, r->place, r->accounts), r->accounts, got);
            tree.append(journal_reader::leaf_at(page, g++));
        } else {
            const auto& row = page.entries[e++];
            __int128 total = 0;
            for (std::size_t i = 0; i < row.accounts.size(); ++i) {
                total += row.amounts[i];
                move(accounts[row.accounts[i]], row.amounts[i]);
            }
            if (row.kind == "hold" || row.kind == "release") {
                // A release gives back to the day of its hold.
                auto day = day_of(row.at_us);
                for (const auto account : row.accounts)
                    if (!wallet_users.contains(account)) day = row.kind == "hold" ? (hold_days_[account] = day) : hold_days_.contains(account) ? hold_days_[account] : day;
                for (std::size_t i = 0; i < row.accounts.size(); ++i)
                    if (wallet_users.contains(row.accounts[i])) spend(accounts[row.accounts[i]], day, -row.amounts[i]);
            }
            for (const auto account : row.accounts) check(accounts[account], account, seq);
            sums.count(total == 0, [&] { return std::to_string(seq); });
            keep(short_key(row.key));
            tree.append(leaf_of(row));
        }
        if (const auto asked = roots_at.find(tree.size()); asked != roots_at.end()) asked->second = tree.root();
    }
}

std::int64_t recount::key_count() const {
    return std::accumulate(keys.begin(), keys.end(), std::int64_t{0}, [](std::int64_t n, const auto& some) { return n + std::ssize(some); });
}
std::vector<std::uint64_t> recount::doubled_keys() {
    const auto in = [this](std::size_t from, std::size_t to) {
        std::vector<std::uint64_t> out;
        for (; from < to; ++from) {
            auto& some = keys[from];
            std::ranges::sort(some);
            for (auto at = std::ranges::adjacent_find(some); at != some.end(); at = std::adjacent_find(at + 1, some.end())) out.push_back(*at);
        }
        return out;
    };
    auto half = std::async(std::launch::async, in, 0, keys.size() / 2);
    auto out = in(keys.size() / 2, keys.size());
    const auto more = half.get();
    out.insert(out.end(), more.begin(), more.end());
    return out;
}

}  // namespace ovation::ledger
