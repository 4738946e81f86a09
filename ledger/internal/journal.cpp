#include "ledger/internal/journal.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <boost/endian/conversion.hpp>
#include <cstring>
#include <map>
#include <unordered_set>

#include "ledger/sql.hpp"

namespace ovation::ledger {
namespace {

// The messages of a binary COPY, read field by field. A row that is not whole ends it.
class copy_reader {
public:
    // True: a row, to be read from its first field on.
    bool next_row(std::string_view message) {
        if (std::exchange(first_, false)) message.remove_prefix(std::min<std::size_t>(message.size(), 19));
        left_ = message;
        return !left_.empty() && number<std::int16_t>() > 0 && !broken_;
    }
    std::string_view field() {
        const auto size = number<std::int32_t>();
        if (size < 0) return {};
        return take(static_cast<std::size_t>(size));
    }
    template <class Number>
    Number value() {
        return to<Number>(field());
    }
    std::vector<std::int64_t> numbers() {  // bigint[]
        auto f = field();
        std::vector<std::int64_t> out;
        if (f.size() < 20) return out;
        f.remove_prefix(20);  // dimensions, flags, type; length, lower bound
        for (; f.size() >= 12; f.remove_prefix(12)) out.push_back(to<std::int64_t>(f.substr(4, 8)));
        return out;
    }
    [[nodiscard]] bool broken() const { return broken_; }

private:
    template <class Number>
    static Number to(std::string_view f) {
        using namespace boost::endian;
        return f.size() < sizeof(Number) ? 0 : endian_load<Number, sizeof(Number), order::big>(reinterpret_cast<const unsigned char*>(f.data()));
    }
    template <class Number>
    Number number() {
        return to<Number>(take(sizeof(Number)));
    }
    std::string_view take(std::size_t n) {
        if (left_.size() < n) {
            broken_ = true;
            left_ = {};
            return {};
        }
        const auto out = left_.substr(0, n);
        left_.remove_prefix(n);
        return out;
    }
    std::string_view left_;
    bool first_ = true, broken_ = false;
};

// The next row of a binary COPY in the order of `gift_columns`; false: there is none in the message.
bool gift_from(copy_reader& g, std::string_view message, gift_row& row) {
    if (!g.next_row(message)) return false;
    row.seq = g.value<std::int64_t>();
    const auto key = g.field();
    if (key.size() == 16) std::memcpy(row.key.bytes.data(), key.data(), 16);
    row.at_us = g.value<std::int64_t>() + postgres_epoch_us;
    for (auto* v : {&row.payer, &row.route, &row.item, &row.room, &row.performance, &row.price, &row.bonus, &row.gift_only, &row.legs.vat, &row.legs.rights, &row.legs.singer, &row.legs.agent,
                    &row.legs.venue, &row.legs.platform, &row.legs.promo})
        *v = g.value<std::int64_t>();
    row.quantity = g.value<std::int32_t>();
    return true;
}
// What is nought in most rows comes as NULL, which costs PostgreSQL a fifth of a number.
std::string mostly_none(std::string_view columns) {
    std::string out(columns);
    for (const std::string name : {"performance", "bonus", "gift_only", "venue", "promo"}) out.replace(out.find(" " + name + ","), name.size() + 1, fmt::format(" nullif({}, 0)", name));
    return out;
}
fault cut_short() { return internal_fault("the journal came back cut short"); }
}  // namespace

route_text route_text_of(const pg::rows& r, int i) {
    route_text out;
    const auto bp = [&](int column) { return static_cast<int>(r.number(i, column)); };
    out.rule = {r.string(i, 9), bp(10), r.string(i, 11), r.number(i, 12), r.boolean(i, 1), bp(2), bp(3), bp(4), bp(5), bp(6), bp(7), bp(8)};
    out.singer_user = r.number(i, 13);
    out.channel = r.number(i, 14);
    for (int leg = 0; leg < 7; ++leg) out.accounts[static_cast<std::size_t>(leg)] = r.string(i + leg, 17);
    return out;
}

// Asked for in no order: rows lie as they were posted, but for those in the room that a batch left which was not committed.
awaitable<result<journal_page>> journal_reader::read(std::int64_t from, std::int64_t to) {
    journal_page out;
    out.gifts.reserve(static_cast<std::size_t>(to - from));
    copy_reader g;
    OVATION_CO_CHECK(co_await db_.copy_out(fmt::format("copy (select {} from ledger.gift where seq >= {} and seq < {}) to stdout (format binary)", gift_columns, from, to), reading_patience, [&](std::string_view message) {
        if (gift_row row; gift_from(g, message, row)) out.gifts.push_back(row);
    }));
    if (g.broken()) co_return cut_short();
    OVATION_CO_TRY(out.entries, co_await entries(from, to));
    arrange(out);
    co_return out;
}

awaitable<result<std::vector<entry_row>>> journal_reader::entries(std::int64_t from, std::int64_t to) {
    std::vector<entry_row> out;
    copy_reader e;
    const auto sql = fmt::format("copy (select e.seq, e.kind, e.key, e.at, e.accounts, e.amounts, e.reference, e.detail::text, e.salt, "
                                 "(select string_agg(coalesce(a.name, '?'), E'\\n' order by u.n) from unnest(e.accounts) with ordinality u (id, n) left join ledger.account a on a.id = u.id) "
                                 "from ledger.entry e where e.seq >= {} and e.seq < {}) to stdout (format binary)", from, to);
    OVATION_CO_CHECK(co_await db_.copy_out(sql, reading_patience, [&](std::string_view message) {
        if (!e.next_row(message)) return;
        auto& row = out.emplace_back();
        row.seq = e.value<std::int64_t>();
        row.kind = e.field();
        row.key = e.field();
        row.at_us = e.value<std::int64_t>() + postgres_epoch_us;
        row.accounts = e.numbers();
        row.amounts = e.numbers();
        row.reference = e.field();
        row.detail = e.field();
        const auto salt = e.field();
        if (salt.size() == row.salt.size()) std::memcpy(row.salt.data(), salt.data(), salt.size());
        for (auto names = e.field(); !names.empty();) {
            const auto end = std::min(names.find('\n'), names.size());
            row.names.emplace_back(names.substr(0, end));
            names.remove_prefix(std::min(end + 1, names.size()));
        }
        // Rows that were made by hand may have anything; what has no partner makes the leaf another.
        const auto legs = std::max({row.accounts.size(), row.amounts.size(), row.names.size()});
        row.accounts.resize(legs);
        row.amounts.resize(legs);
        row.names.resize(legs);
    }));
    if (e.broken()) co_return cut_short();
    co_return out;
}

void journal_reader::arrange(journal_page& page) const {
    const auto in_order = [](auto& rows) {
        const auto seq = [](const auto& row) { return row.seq; };
        if (!std::ranges::is_sorted(rows, {}, seq)) std::ranges::sort(rows, {}, seq);
    };
    in_order(page.gifts);
    in_order(page.entries);
    resolve(page);
}
void journal_reader::resolve(journal_page& page) const {
    page.routes.resize(page.gifts.size());
    page.wallets.resize(page.gifts.size());
    std::int64_t last = 0;
    const known_route* its = nullptr;
    for (std::size_t i = 0; i < page.gifts.size(); ++i) {
        const auto& g = page.gifts[i];
        if (!its || g.route != last) {  // many in a row have one
            const auto at = routes_.find(last = g.route);
            its = at == routes_.end() ? nullptr : &at->second;
        }
        page.routes[i] = its;
        if (page.wallets[i]) continue;
        const auto at = wallets_.find(g.payer);
        page.wallets[i] = at == wallets_.end() ? nullptr : &at->second;
    }
}

awaitable<result<void>> journal_reader::load_for(journal_page& page) {
    std::unordered_set<std::int64_t> routes, users;
    for (std::size_t i = 0; i < page.gifts.size(); ++i) {
        if (!page.routes[i]) routes.insert(page.gifts[i].route);
        if (!page.wallets[i]) users.insert(page.gifts[i].payer);
    }
    const auto list = [](const std::unordered_set<std::int64_t>& ids) {
        std::string out = "{";
        for (const auto id : ids) append_number(out, id);
        return pg::params().add_raw(out + "}");
    };
    if (!routes.empty()) {
        OVATION_CO_TRY(const auto r, co_await db_.query(sql::load_routes, list(routes), reading_patience));
        for (int i = 0; i + 6 < r.size(); i += 7) {
            known_route made{route_text_of(r, i), {}, {}, routes_.size()};
            made.digest = digest_of(made.text);
            for (int leg = 0; leg < 7; ++leg) page.new_accounts.push_back(made.accounts[static_cast<std::size_t>(leg)] = r.number(i + leg, 16));
            routes_.emplace(r.number(i, 0), std::move(made));
        }
    }
    if (!users.empty()) {
        OVATION_CO_TRY(const auto r, co_await db_.query(sql::salts, list(users), reading_patience));
        for (int i = 0; i < r.size(); ++i) {
            known_wallet made{{}, {r.number(i, 4), r.number(i, 3), r.number(i, 2)}, wallets_.size()};
            page.new_accounts.insert(page.new_accounts.end(), made.accounts.begin(), made.accounts.end());
            const auto bytes = pg::bytes_of("\\x" + r.string(i, 1));
            std::memcpy(made.salt.data(), bytes.data(), std::min(bytes.size(), made.salt.size()));
            wallets_.emplace(r.number(i, 0), made);
        }
    }
    if (!routes.empty() || !users.empty()) resolve(page);
    co_return result<void>{};
}

struct journal_stream::state {
    copy_reader rows;
    std::map<std::int64_t, std::vector<gift_row>> pages;  // by their first number
    std::int64_t ahead = 0;  // rows in them
    bool more = true, late = false;
};
journal_stream::journal_stream(pg::connection& db, std::int64_t lowest) : db_(db), next_(lowest), is_(std::make_unique<state>()) {}
journal_stream::~journal_stream() = default;

awaitable<result<void>> journal_stream::begin() {
    co_return co_await db_.copy_begin(fmt::format("set local synchronize_seqscans = off; set local max_parallel_workers_per_gather = 0; "
                                                  "copy (select {} from ledger.gift) to stdout (format binary)", mostly_none(gift_columns)), reading_patience);
}
awaitable<result<void>> journal_stream::end() {
    while (is_->more) {
        OVATION_CO_TRY(is_->more, co_await db_.copy_some(reading_page, reading_patience, [](std::string_view) {}));
    }
    co_return result<void>{};
}

awaitable<result<std::optional<std::vector<gift_row>>>> journal_stream::page(std::size_t expected) {
    auto& is = *is_;
    const auto from = std::exchange(next_, next_ + reading_page);
    while (is.more && !is.late && is.ahead < ahead_max && is.pages[from].size() < expected) {
        OVATION_CO_TRY(is.more, co_await db_.copy_some(reading_page / 10, reading_patience, [&](std::string_view message) {
            gift_row row;
            if (!gift_from(is.rows, message, row)) return;
            const auto first = from + (row.seq - from) / reading_page * reading_page;
            is.late |= row.seq < from;
            auto& its = is.pages[first];
            if (its.empty()) its.reserve(reading_page);
            its.push_back(row);
            ++is.ahead;
        }));
        if (is.rows.broken()) co_return cut_short();
    }
    auto here = is.pages.extract(from);
    const auto rows = here.empty() ? 0 : here.mapped().size();
    is.ahead -= static_cast<std::int64_t>(rows);
    if (is.late || rows != expected) co_return std::nullopt;
    co_return rows == 0 ? std::vector<gift_row>() : std::move(here.mapped());
}

tree_hash journal_reader::leaf_at(const journal_page& page, std::size_t gift) {
    const auto* r = page.routes[gift];
    const auto* w = page.wallets[gift];
    return r && w ? leaf_of(page.gifts[gift], r->digest, w->salt) : no_leaf;
}

result<std::vector<tree_hash>> journal_reader::leaves(const journal_page& page, std::int64_t from) {
    std::vector<tree_hash> out;
    out.reserve(page.gifts.size() + page.entries.size());
    for (std::size_t g = 0, e = 0; g < page.gifts.size() || e < page.entries.size();) {
        const bool gift = e == page.entries.size() || (g < page.gifts.size() && page.gifts[g].seq <= page.entries[e].seq);
        const auto seq = gift ? page.gifts[g].seq : page.entries[e].seq;
        if (seq != from + static_cast<std::int64_t>(out.size())) return internal_fault(fmt::format("entry {} is missing or there twice", from + static_cast<std::int64_t>(out.size())));
        if (gift) {
            out.push_back(leaf_at(page, g++));
        } else {
            out.push_back(leaf_of(page.entries[e++]));
        }
    }
    return out;
}

}  // namespace ovation::ledger
