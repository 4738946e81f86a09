// The books for other programs: plain-text accounting that hledger and beancount take.
#pragma once
#include <functional>
#include <string>

#include "base/cores.hpp"

namespace ovation::ledger {

enum class export_format { hledger, beancount };

// One transaction an entry, in order, dated by the tenant's day; declarations of commodity and accounts first. Micros become six
// decimals of `currency`. Returns how many entries were written.
awaitable<result<std::int64_t>> export_books(pg::connection& db, export_format format, std::string currency, std::string time_zone, std::function<void(const std::string&)> line);

}  // namespace ovation::ledger
