#include "ledger/export.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "ledger/internal/journal.hpp"
#include "ledger/sql.hpp"

namespace ovation::ledger {
namespace {

std::string decimal(std::int64_t micros) {
    const auto whole = micros < 0 ? ~static_cast<std::uint64_t>(micros) + 1 : static_cast<std::uint64_t>(micros);
    return fmt::format("{}{}.{:06}", micros < 0 ? "-" : "", whole / 1'000'000, whole % 1'000'000);
}
// beancount knows five roots, and parts that begin with a capital.
std::string account_text(const std::string& name, export_format format) {
    if (format == export_format::hledger) return name;
    const auto colon = name.find(':');
    const auto kind = name.substr(0, colon);
    std::string root = "Liabilities";
    if (kind == "bank" || kind == "cash" || kind == "receivable" || kind == "disputed") root = "Assets";
    if (kind == "platform") root = "Income";
    if (kind == "provider_fees" || kind == "promo") root = "Expenses";
    if (kind == "suspense") root = "Equity";
    std::string out = root + ":";
    bool first = true;
    for (const char c : kind) {
        if (c == '_') out += '-';
        else out += first ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
        first = false;
    }
    if (colon != name.npos) {
        out += ":X";
        for (const char c : name.substr(colon + 1)) out += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
    }
    return out;
}
std::string in_quotes(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c == '\n' ? ' ' : c;
    }
    return out + "\"";
}
// A payee of hledger ends where a comment begins.
std::string plain(std::string_view text) {
    std::string out(text);
    std::ranges::replace_if(out, [](char c) { return c == ';' || c == '\n' || c == '|'; }, ' ');
    return out;
}

struct days {
    std::vector<std::pair<std::int64_t, std::string>> starts;
    [[nodiscard]] const std::string& of(std::int64_t at_us) const {
        auto after = std::ranges::upper_bound(starts, at_us, {}, &std::pair<std::int64_t, std::string>::first);
        return (after == starts.begin() ? after : after - 1)->second;
    }
};
}  // namespace

awaitable<result<std::int64_t>> export_books(pg::connection& db, export_format format, std::string currency, std::string time_zone, std::function<void(const std::string&)> line) {
    OVATION_CO_CHECK(co_await db.query(begin_snapshot, {}, reading_patience));
    OVATION_CO_TRY(const auto calendar, co_await db.query(sql::days_of_books, pg::with(time_zone), reading_patience));
    days when;
    for (int i = 0; i < calendar.size(); ++i) when.starts.emplace_back(calendar.number(i, 0), calendar.string(i, 1));
    OVATION_CO_TRY(const auto head, co_await db.query(sql::head_seq, {}, reading_patience));
    OVATION_CO_TRY(const auto names, co_await db.query(sql::account_names, {}, reading_patience));
    std::unordered_map<std::int64_t, std::string> accounts;
    const bool bean = format == export_format::beancount;
    const auto first_day = when.starts.empty() ? std::string("1970-01-01") : when.starts.front().second;
    line(bean ? fmt::format("option \"operating_currency\" \"{0}\"\n{1} commodity {0}", currency, first_day) : fmt::format("commodity {} 1.000000\ndecimal-mark .", currency));
    for (int i = 0; i < names.size(); ++i) {
        const auto text = account_text(names.string(i, 1), format);
        accounts[names.number(i, 0)] = text;
        line(bean ? fmt::format("{} open {} {}", first_day, text, currency) : "account " + text);
    }
    const auto transaction = [&](std::int64_t seq, std::int64_t at_us, const std::string& kind, const std::string& key, const std::vector<std::pair<std::string, std::int64_t>>& legs) {
        line(bean ? fmt::format("\n{} * {} {}\n  seq: {}", when.of(at_us), in_quotes(kind), in_quotes(key), seq) : fmt::format("\n{} * ({}) {} | {}", when.of(at_us), seq, kind, plain(key)));
        for (const auto& [account, amount] : legs) line(fmt::format("  {}  {}", account, bean ? fmt::format("{} {}", decimal(amount), currency) : fmt::format("{} {}", currency, decimal(amount))));
    };
    journal_reader journal(db);
    std::int64_t written = 0;
    for (std::int64_t from = 1; from <= head.number(0, 0); from += reading_page) {
        OVATION_CO_TRY(auto rows, co_await journal.read(from, from + reading_page));
        OVATION_CO_CHECK(co_await journal.load_for(rows));
        for (std::size_t g = 0, e = 0; g < rows.gifts.size() || e < rows.entries.size(); ++written) {
            std::vector<std::pair<std::string, std::int64_t>> legs;
            if (e == rows.entries.size() || (g < rows.gifts.size() && rows.gifts[g].seq < rows.entries[e].seq)) {
                const auto* r = rows.routes[g];
                const auto* w = rows.wallets[g];
                const auto& gift = rows.gifts[g++];
                if (!r || !w) co_return internal_fault(fmt::format("entry {} has no route or wallet; run ovation ledger verify", gift.seq));
                const auto add = [&](std::int64_t account, std::int64_t amount) {
                    if (amount != 0) legs.emplace_back(accounts[account], amount);
                };
                const auto paid = paid_legs(gift);
                for (std::size_t i = 0; i < paid.size(); ++i) add(w->accounts[i], paid[i]);
                const auto got = got_legs(gift);
                for (std::size_t i = 0; i < got.size(); ++i) add(r->accounts[i], got[i]);
                transaction(gift.seq, gift.at_us, "gift", gift.key.text(), legs);
            } else {
                const auto& entry = rows.entries[e++];
                for (std::size_t i = 0; i < entry.accounts.size(); ++i) legs.emplace_back(accounts[entry.accounts[i]], entry.amounts[i]);
                // A marker moves no money, and neither program takes a transaction without postings.
                if (legs.empty()) line(fmt::format("\n; {} {} {} {}", when.of(entry.at_us), entry.seq, entry.kind, plain(entry.key)));
                else transaction(entry.seq, entry.at_us, entry.kind, entry.key, legs);
            }
        }
    }
    OVATION_CO_CHECK(co_await db.query(end_snapshot, {}, reading_patience));
    co_return written;
}

}  // namespace ovation::ledger
