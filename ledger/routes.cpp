#include "ledger/routes.hpp"

#include "ledger/sql.hpp"

namespace ovation::ledger {

awaitable<result<route_id>> intern_route(pg::pool& db, split_rule rule, route_parties parties) {
    pg::params p = pg::with(rule.preset, rule.preset_version, rule.source, rule.source_id, rule.gross, rule.vat_bp, rule.rights_bp, rule.singer_bp, rule.agent_bp,
                            rule.venue_bp, rule.platform_bp, parties.singer, rule.agent_bp > 0 ? parties.agent : user_id(), parties.channel);
    auto row = co_await db.query(sql::intern_route, std::move(p));
    if (!row) co_return row.error();
    co_return route_id(row->number(0, 0));
}

awaitable<result<void>> open_wallet(pg::pool& db, user_id user) {
    auto done = co_await db.query(sql::open_wallet, pg::with(user));
    if (!done) co_return done.error();
    co_return result<void>{};
}

}  // namespace ovation::ledger
