// Files that banks take and give: ISO 20022.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/fault.hpp"

namespace ovation::payments {

struct bank_payment {
    std::string reference;     // unique at the bank: EndToEndId
    std::int64_t minor = 0;
    std::string holder, account, bank, method;
};
// A customer credit transfer initiation, pain.001.001.03: one batch, all or each by itself, as the bank books.
std::string pain_001(const std::string& message_id, const std::string& made_at, const std::string& day, const std::string& currency, const std::vector<bank_payment>& payments);

// A bank's statement, camt.053: what was booked on our account, and what it then held.
struct bank_booking {
    std::string reference;     // EndToEndId, where the bank says one
    std::string day;           // YYYY-MM-DD
    std::int64_t minor = 0;    // positive: came in
    std::string text;          // remittance information
    std::string booking;       // what tells it from every other booking: the bank's number, or all that it says and which of its likes it is
};
struct bank_statement {
    std::string account, currency;
    std::int64_t opening_minor = 0, closing_minor = 0;
    std::string from, to;      // days
    std::vector<bank_booking> bookings;
};
// Several statements in one file are one, when each goes on where the one before it ended. Refused: another document, another
// account, an amount with more than two decimals, bookings that do not lead from the opening balance to the closing one.
result<bank_statement> read_camt_053(std::string_view xml);

}  // namespace ovation::payments
