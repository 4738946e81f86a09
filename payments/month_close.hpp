// Markers in the order of the entries: a restored backup's; the month's close, with a pack of registers that are counted up to it, signed as one note.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/cores.hpp"
#include "payments/bank_file.hpp"

namespace ovation::payments {

struct month_pack {
    std::int64_t marker_seq = 0, last_seq = 0;                      // of the marker, and of the month's last entry
    std::vector<std::pair<std::string, std::string>> files;         // name, text (CSV; micros or minor units, as the heads say)
    std::int64_t bank_matched = 0, bank_only_ours = 0, bank_only_theirs = 0, bank_difference_minor = 0;
};

// "2026-11" → "2026-11-01".
result<std::string> first_of_month(std::string_view month);
// Writes the marker down; its step's number for steps::settle("month_close", …). Refused: not over yet, an earlier month is open.
awaitable<result<std::int64_t>> close_month(pg::pool& db, std::string first_day, std::string time_zone, user_id actor, std::string reason);
// Writes a restored backup's marker down; its number for steps::settle("restore", …).
awaitable<result<std::int64_t>> note_restore(pg::pool& db, user_id actor, std::string reason);
// The registers of a closed month. With a statement of the bank, the difference to it.
awaitable<result<month_pack>> make_pack(pg::pool& db, std::string first_day, std::string time_zone, std::optional<bank_statement> bank);
// What is signed: the pack's name, the month, the numbers, and each file with its SHA-256.
std::string manifest_of(const month_pack& pack, std::string_view month);

}  // namespace ovation::payments
