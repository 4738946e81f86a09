#include "identity/access_gate.hpp"

#include <stdexcept>

#include "base/text.hpp"

namespace ovation {
namespace {
fault log_in_first() {
    fault f = denied("log_in_first", "Log in first.");
    f.kind = code::unauthenticated;
    return f;
}
fault not_yours() { return denied("permission_denied", "This is not yours to do, or it does not exist."); }
}  // namespace

result<void> access_gate::check_roles(const v1::Access& rule, const caller& who) {
    for (const int role : rule.roles()) {
        // A server of the house is nobody's account, and no account is a server.
        if (role == v1::ROLE_ANYONE || (who.roles.has(role) && (role == v1::ROLE_SERVICE) == !who.user)) return result<void>{};
    }
    if (!who.user) return log_in_first();
    return denied("role_missing", "Your account does not have the role that this takes.");
}

result<void> access_gate::check_reason(std::string_view reason) {
    const auto length = text::characters(reason);
    if (!length || *length < 3 || *length > 500) return invalid("reason", "say why, in 3 to 500 characters; it is kept with the action.");
    return {};
}

awaitable<result<granted>> access_gate::check(const v1::Access& rule, caller who, const google::protobuf::Message& request) const {
    OVATION_CO_CHECK(check_roles(rule, who));
    if (rule.audited()) {
        const auto* field = request.GetDescriptor()->FindFieldByName("reason");
        OVATION_CO_CHECK(check_reason(request.GetReflection()->GetString(request, field)));
    }
    if (rule.relation() != v1::RELATION_ANY) {
        const auto* field = request.GetDescriptor()->FindFieldByName(rule.subject());
        const auto subject = request.GetReflection()->GetInt64(request, field);
        if (subject <= 0) co_return invalid(rule.subject(), "must be the id of an object.");
        const auto& r = resolvers_.at({rule.relation(), rule.subject()});
        OVATION_CO_TRY(const bool stands, co_await r(who, subject));
        if (!stands) co_return not_yours();
    }
    co_return granted(std::move(who));
}

access_gate::resolver access_gate::by_row(cores& all, const pg::statement& query, std::optional<v1::Role> always) {
    return [&all, &query, always](const caller& who, std::int64_t id) -> awaitable<result<bool>> {
        return [](cores& c, const pg::statement& q, user_id user, std::int64_t subject, bool stands) -> awaitable<result<bool>> {
            if (stands) co_return true;
            OVATION_CO_TRY(auto r, co_await c.db().query(q, pg::with(subject, user)));
            co_return !r.empty();
        }(all, query, who.user, id, always && who.roles.has(*always));
    };
}

result<granted> access_gate::check_live(const v1::Access& rule, caller who, in_room as) {
    OVATION_CHECK(check_roles(rule, who));
    const bool stands = rule.relation() == v1::RELATION_ANY || (rule.relation() == v1::RELATION_ROOM_SINGER && as.is_singer) ||
                        (rule.relation() == v1::RELATION_ON_STAGE && as.is_on_stage) || (rule.relation() == v1::RELATION_ROOM_STAFF && as.is_staff);
    if (!stands) return not_yours();
    return granted(std::move(who));
}

void access_gate::require_resolver(const std::string& where, const v1::Access& rule) const {
    if (rule.relation() != v1::RELATION_ANY && !resolvers_.contains({rule.relation(), rule.subject()}))
        throw std::logic_error(where + ": nobody resolves " + v1::Relation_Name(rule.relation()) + " of " + rule.subject());
}

}  // namespace ovation
