#include "payments/audit.hpp"

#include "ledger/reading.hpp"
#include "payments/sql.hpp"

namespace ovation::payments {
namespace {
struct question {
    const char* name;
    const pg::statement& ask;
    const char* sentence;
};
const question questions[] = {
    {"top_ups", sql::verify_top_ups, "every paid order is in the books once, with its coins and its money, and no other"},
    {"steps", sql::verify_steps, "every step of a payout, case, settlement or grant is in the books as it was written down"},
    {"payouts", sql::verify_payouts, "payouts, their tax and their transfers are what their steps say"},
    {"lots", sql::verify_lots, "the open lots of who had a case are what is in the wallet"},
    {"cases", sql::verify_cases, "what cases take back adds up, and is what their steps say"},
    {"settled", sql::verify_settlements, "settlements are the sums of their orders"},
    {"bonus", sql::verify_bonus, "bonus coins were granted and went back as their steps say"},
};
}  // namespace

awaitable<result<std::vector<ledger::check>>> verify(pg::connection& db) {
    OVATION_CO_CHECK(co_await db.query(ledger::begin_snapshot, {}, ledger::reading_patience));
    std::vector<ledger::check> out;
    for (const auto& q : questions) {
        OVATION_CO_TRY(const auto r, co_await db.query(q.ask, {}, ledger::reading_patience));
        out.push_back(ledger::counted_of(q.name, r, q.sentence));
    }
    OVATION_CO_CHECK(co_await db.query(ledger::end_snapshot, {}, ledger::reading_patience));
    co_return out;
}

}  // namespace ovation::payments
