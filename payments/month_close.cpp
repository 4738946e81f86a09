#include "payments/month_close.hpp"

#include <spdlog/fmt/fmt.h>

#include <charconv>
#include <map>

#include "base/crypto.hpp"
#include "ledger/reading.hpp"
#include "payments/sql.hpp"

namespace ovation::payments {
namespace {
std::string csv_field(std::string_view text) {
    if (text.find_first_of(",\"\n\r") == text.npos) return std::string(text);
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"') out += '"';
        out += c;
    }
    return out + '"';
}
std::string csv_of(std::string_view head, const pg::rows& r, int columns) {
    auto out = std::string(head) + "\n";
    for (int i = 0; i < r.size(); ++i)
        for (int k = 0; k < columns; ++k) out += (k == 0 ? "" : ",") + csv_field(r.text(i, k)) + (k + 1 == columns ? "\n" : "");
    return out;
}

// Bookings of both sides by reference and amount; what is left over stands on one side only.
std::string compare_with_bank(const pg::rows& ours, const pg::rows& balances, const bank_statement& bank, month_pack& into) {
    std::multimap<std::pair<std::string, std::int64_t>, std::string> theirs;
    for (const auto& b : bank.bookings) theirs.emplace(std::pair(b.reference, b.minor), b.day);
    std::string out = "side,reference,our_entry,kind,day,minor\n";
    std::int64_t difference = 0;
    for (int i = 0; i < ours.size(); ++i) {
        auto reference = ours.string(i, 4);
        if (reference.empty() && ours.text(i, 2).starts_with("payout:")) reference = fmt::format("PO{}-{}", ours.text(i, 2).substr(7), ours.text(i, 3));
        if (reference.empty()) reference = ours.string(i, 2);
        const auto minor = ours.number(i, 5);
        const auto at = theirs.find({reference, minor});
        const bool both = at != theirs.end();
        if (both) theirs.erase(at);
        ++(both ? into.bank_matched : into.bank_only_ours);
        if (!both) difference += minor;
        out += fmt::format("{},{},{},{},{},{}\n", both ? "both" : "books", csv_field(reference), ours.text(i, 0), ours.text(i, 1), ours.text(i, 6), minor);
    }
    for (const auto& [what, day] : theirs) {
        ++into.bank_only_theirs;
        difference -= what.second;
        out += fmt::format("bank,{},,,{},{}\n", csv_field(what.first), day, what.second);
    }
    const auto opening = balances.number(0, 0), closing = balances.number(0, 1);
    out += fmt::format("opening,books,,,,{}\nopening,bank,,,,{}\nclosing,books,,,,{}\nclosing,bank,,,,{}\n", opening, bank.opening_minor, closing, bank.closing_minor);
    into.bank_difference_minor = closing - bank.closing_minor;
    out += fmt::format("difference,closing,,,,{}\ndifference,explained by the lines above,,,,{}\n", into.bank_difference_minor, difference + opening - bank.opening_minor);
    return out;
}
}  // namespace

result<std::string> first_of_month(std::string_view month) {
    const auto digits = [](std::string_view t) { return !t.empty() && t.find_first_not_of("0123456789") == t.npos; };
    const bool shape = month.size() == 7 && month[4] == '-' && digits(month.substr(0, 4)) && digits(month.substr(5));
    const auto number = shape ? (month[5] - '0') * 10 + (month[6] - '0') : 0;
    if (number < 1 || number > 12) return invalid("month", "looks like 2026-11.");
    return std::string(month) + "-01";
}

awaitable<result<std::int64_t>> close_month(pg::pool& db, std::string first_day, std::string time_zone, user_id actor, std::string reason) {
    OVATION_CO_TRY(auto r, co_await db.query(sql::close_month, pg::with(first_day, time_zone, actor, reason)));
    const auto problem = r.text(0, 1);
    if (problem == "not_over") co_return precondition("month_not_over", "This month is not over yet.");
    if (problem == "earlier_first") co_return precondition("earlier_month_open", "An earlier month is still open. Months are closed in their order.");
    if (problem == "later_is_closed") co_return precondition("earlier_month_open", "A later month is closed already, and this one has no entries of its own to close.");
    co_return r.number(0, 0);
}

awaitable<result<std::int64_t>> note_restore(pg::pool& db, user_id actor, std::string reason) {
    OVATION_CO_TRY(auto r, co_await db.query(sql::note_restore, pg::with(actor, reason)));
    co_return r.number(0, 0);
}

awaitable<result<month_pack>> make_pack(pg::pool& db, std::string first_day, std::string time_zone, std::optional<bank_statement> bank) {
    OVATION_CO_TRY(auto closed, co_await db.query(sql::closed_month, pg::with(first_day, time_zone)));
    if (closed.empty()) co_return precondition("month_open", "This month is not closed.");
    month_pack out;
    out.marker_seq = closed.number(0, 0);
    out.last_seq = closed.number(0, 1);
    const auto after = closed.number(0, 2);
    OVATION_CO_TRY(auto trial, co_await db.query(sql::pack_trial, pg::with(after, out.last_seq), ledger::reading_patience));
    out.files.emplace_back("trial_balance.csv", csv_of("account,opening_micros,debits_micros,credits_micros,closing_micros", trial, 5));
    // Coins that are sold and not yet spent, and money that is held until something is decided or delivered.
    std::string coins = "what,micros\n";
    std::int64_t unspent = 0, deferred = 0;
    for (int i = 0; i < trial.size(); ++i) {
        const auto name = trial.text(i, 0);
        const bool coin = name == "wallet:*" || name == "gift_only:*" || name == "bonus:*";
        if (!coin && name != "held:*" && name != "escrow:*") continue;
        (coin ? unspent : deferred) += trial.number(i, 4);
        coins += fmt::format("{},{}\n", name, trial.number(i, 4));
    }
    out.files.emplace_back("coins.csv", coins + fmt::format("unspent,{}\ndeferred,{}\n", unspent, deferred));
    OVATION_CO_TRY(auto owed, co_await db.query(sql::pack_receivables, pg::with(out.last_seq, first_day, time_zone), ledger::reading_patience));
    out.files.emplace_back("receivables.csv", csv_of("account,owed_micros,days_0_30,days_31_90,days_91_180,over_180", owed, 6));
    OVATION_CO_TRY(auto vat, co_await db.query(sql::pack_vat, pg::with(after, out.last_seq, time_zone), ledger::reading_patience));
    out.files.emplace_back("vat.csv", csv_of("day,vat_bp,what,entries,price_micros,vat_micros", vat, 6));
    OVATION_CO_TRY(auto withheld, co_await db.query(sql::pack_withholding, pg::with(after, out.last_seq), ledger::reading_patience));
    out.files.emplace_back("withholding.csv", csv_of("payout,user,name,holder,scheme,year,month,reversal,income_minor,withheld_minor,entry", withheld, 11));
    OVATION_CO_TRY(auto paid, co_await db.query(sql::pack_payouts, pg::with(after, out.last_seq, time_zone), ledger::reading_patience));
    out.files.emplace_back("payouts.csv", csv_of("payout,user,name,origin,gross_minor,recovered_minor,withheld_minor,net_minor,attempt,state,entry,day", paid, 12));
    if (bank) {
        OVATION_CO_TRY(auto ours, co_await db.query(sql::pack_bank, pg::with(after, out.last_seq, time_zone), ledger::reading_patience));
        OVATION_CO_TRY(auto balances, co_await db.query(sql::pack_bank_balance, pg::with(after, out.last_seq), ledger::reading_patience));
        auto text = compare_with_bank(ours, balances, *bank, out);
        out.files.emplace_back("bank.csv", std::move(text));
    }
    co_return out;
}

std::string manifest_of(const month_pack& pack, std::string_view month) {
    auto out = fmt::format("ovation/month-close@v1\n{}\nmarker {}\nlast entry {}\n", month, pack.marker_seq, pack.last_seq);
    for (const auto& [name, text] : pack.files) out += fmt::format("{} {}\n", crypto::to_hex(crypto::sha256(text)), name);
    return out;
}

}  // namespace ovation::payments
