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

awaitable<result<route_terms>> read_route(pg::pool& db, route_id id) {
    OVATION_CO_TRY(auto r, co_await db.query(sql::route_terms, pg::with(id)));
    if (r.empty()) co_return not_found("This route");
    const auto bp = [&](int column) { return static_cast<int>(r.number(0, column)); };
    route_terms out;
    out.rule.gross = r.boolean(0, 0);
    out.rule.vat_bp = bp(1);
    out.rule.rights_bp = bp(2);
    out.rule.singer_bp = bp(3);
    out.rule.agent_bp = bp(4);
    out.rule.venue_bp = bp(5);
    out.rule.platform_bp = bp(6);
    out.rule.bonus_singer_bp = bp(7);
    out.vat = r.string(0, 8);
    out.rights = r.string(0, 9);
    out.singer = r.string(0, 10);
    out.agent = r.string(0, 11);
    out.venue = r.string(0, 12);
    out.platform = r.string(0, 13);
    co_return out;
}

std::vector<std::pair<std::string, std::int64_t>> credit_legs(std::int64_t price, const route_terms& t) {
    const auto s = split(price, 0, t.rule);
    std::vector<std::pair<std::string, std::int64_t>> out{{t.vat, s.vat}, {t.rights, s.rights}, {t.singer, s.singer}, {t.agent, s.agent}, {t.venue, s.venue}, {t.platform, s.platform}};
    std::erase_if(out, [](const auto& leg) { return leg.second == 0; });
    return out;
}

awaitable<result<void>> open_wallet(pg::pool& db, user_id user) {
    auto done = co_await db.query(sql::open_wallet, pg::with(user));
    if (!done) co_return done.error();
    co_return result<void>{};
}

}  // namespace ovation::ledger
