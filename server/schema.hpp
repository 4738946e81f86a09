// The schema and this binary: applying migrations, and refusing to serve on a foreign schema.
#pragma once
#include "base/pg.hpp"

namespace ovation::server {

inline constexpr pg::statement ledger_head{"server_ledger_head", "select seq from ledger.head"};

// Applies what is missing, each migration in a transaction of its own, with the owner's role. Returns how many.
awaitable<result<int>> migrate(asio::io_context& context, std::string owner_conninfo);
// Fails when a migration of this binary is missing, or when the schema asks for a newer server.
awaitable<result<void>> check_schema(pg::pool& db);
// Fails when PostgreSQL does not know the zone that days are counted in.
awaitable<result<void>> check_time_zone(pg::pool& db, std::string zone);

}  // namespace ovation::server
