#include "ledger/internal/recount.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/money.hpp"

namespace ovation::ledger {

std::uint64_t recount::short_key(const uuid& key) { return std::hash<uuid>()(key); }
std::uint64_t recount::short_key(const std::string& key) { return std::hash<std::string>()(key); }

recount::standing& recount::move(std::int64_t account, std::int64_t amount) {
    auto& a = accounts[account];
    a.amount += amount;
    ++a.version;
    return a;
}
void recount::check(const standing& a, std::int64_t account, std::int64_t seq) {
    floors.count(!a.floored || a.amount >= 0, [&] { return fmt::format("account {} at seq {}", account, seq); });
    coins.count(!a.whole_coins || a.amount % micros_per_coin == 0, [&] { return fmt::format("account {} at seq {}", account, seq); });
}

std::int64_t recount::day_of(std::int64_t at_us) const {
    return first_day + (std::ranges::upper_bound(day_starts, at_us) - day_starts.begin()) - 1;
}

// Gifts, and holds, less what was released of that day's.
void recount::spend(std::int64_t account, std::int64_t day, std::int64_t amount) {
    auto& a = accounts[account];
    if (day > a.day) {
        a.day = day;
        a.spent = 0;
    }
    if (day == a.day) a.spent += amount;
}

void recount::take(const journal_page& page, const journal_reader& journal) {
    for (std::size_t g = 0, e = 0; g < page.gifts.size() || e < page.entries.size();) {
        const bool gift = e == page.entries.size() || (g < page.gifts.size() && page.gifts[g].seq <= page.entries[e].seq);
        const auto seq = gift ? page.gifts[g].seq : page.entries[e].seq;
        numbers.count(seq == next_, [&] { return fmt::format("{} stands where {} should", seq, next_); });
        next_ = seq + 1;
        if (gift) {
            const auto& row = page.gifts[g++];
            const auto& l = row.legs;
            sums.count(l.vat + l.rights + l.singer + l.agent + l.venue + l.platform + l.promo == row.price, [&] { return std::to_string(seq); });
            keys.push_back(short_key(row.key));
            const auto* r = journal.route_of(row.route);
            const auto* w = journal.wallet_of(row.payer);
            splits.count(r && split(row.price, row.bonus, r->text.rule) == l, [&] { return fmt::format("seq {}", seq); });
            // A gift's leg of nought is no posting; an entry's is.
            const auto leg = [&](std::int64_t account, std::int64_t amount) {
                if (amount != 0) check(move(account, amount), account, seq);
            };
            if (w) {
                leg(w->bonus, -row.bonus);
                leg(w->gift_only, -row.gift_only);
                leg(w->paid, -(row.price - row.bonus - row.gift_only));
            }
            if (r) {
                const std::array<std::int64_t, 7> legs{l.vat, l.rights, l.singer, l.agent, l.venue, l.platform, l.promo};
                for (std::size_t i = 0; i < legs.size(); ++i) leg(r->accounts[i], legs[i]);
            }
            if (w) spend(w->paid, day_of(row.at_us), row.price);
            tree.append(r && w ? leaf_of(row, r->digest, w->salt) : journal_reader::no_leaf);
        } else {
            const auto& row = page.entries[e++];
            __int128 total = 0;
            for (std::size_t i = 0; i < row.accounts.size(); ++i) {
                total += row.amounts[i];
                move(row.accounts[i], row.amounts[i]);
            }
            if (row.kind == "hold" || row.kind == "release") {
                // A release gives back to the day of its hold.
                auto day = day_of(row.at_us);
                for (const auto account : row.accounts)
                    if (!wallet_users.contains(account)) day = row.kind == "hold" ? (hold_days_[account] = day) : hold_days_.contains(account) ? hold_days_[account] : day;
                for (std::size_t i = 0; i < row.accounts.size(); ++i)
                    if (wallet_users.contains(row.accounts[i])) spend(row.accounts[i], day, -row.amounts[i]);
            }
            for (const auto account : row.accounts) check(accounts[account], account, seq);
            sums.count(total == 0, [&] { return std::to_string(seq); });
            keys.push_back(short_key(row.key));
            tree.append(leaf_of(row));
        }
        if (const auto asked = roots_at.find(tree.size()); asked != roots_at.end()) asked->second = tree.root();
    }
}

std::vector<std::uint64_t> recount::doubled_keys() {
    std::ranges::sort(keys);
    std::vector<std::uint64_t> out;
    for (auto at = std::ranges::adjacent_find(keys); at != keys.end(); at = std::adjacent_find(at + 1, keys.end())) out.push_back(*at);
    return out;
}

}  // namespace ovation::ledger
