// Asks the access rule that stands in the .proto before a handler runs. A folder that owns a relation registers its
// resolver; only the gate can make a `granted`, so a handler cannot be reached around it.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/cores.hpp"
#include "base/rpc.hpp"
#include "ovation/v1/access.pb.h"

namespace ovation {

class access_gate {
public:
    // Does the caller stand in this relation to the object with this id? A missing object: false, so that nothing is told.
    using resolver = std::function<awaitable<result<bool>>(const caller&, std::int64_t)>;

    // `subject`: the request field that names the object (RELATION_OWN means another thing for each).
    void resolve(v1::Relation relation, const std::string& subject, resolver r) { resolvers_[{relation, subject}] = std::move(r); }
    // A statement decides ($1 the object, $2 the user): a row says yes. Who has the role `always` needs none.
    static resolver by_row(cores& all, const pg::statement& query, std::optional<v1::Role> always = std::nullopt);

    awaitable<result<granted>> check(const v1::Access& rule, caller who, const google::protobuf::Message& request) const;
    // Live commands: the object is the room that the caller is in, and the room answers itself.
    struct in_room {
        bool is_singer = false, is_on_stage = false, is_staff = false;
    };
    [[nodiscard]] static result<granted> check_live(const v1::Access& rule, caller who, in_room stands);

    // Does this caller act for the house? Then what they do in somebody else's place goes into the audit trail.
    [[nodiscard]] static bool of_house(const caller& who) { return who.user && (who.roles.has(v1::ROLE_OPS) || who.roles.has(v1::ROLE_FINANCE)); }
    // Of what is audited: 3 to 500 characters.
    [[nodiscard]] static result<void> check_reason(std::string_view reason);

    // Throws when a rule asks for a relation that nobody resolves.
    void require_resolver(const std::string& where, const v1::Access& rule) const;

    // Of a rule only what needs no request.
    [[nodiscard]] static result<void> check_roles(const v1::Access& rule, const caller& who);

private:
    std::map<std::pair<int, std::string>, resolver> resolvers_;
};

}  // namespace ovation
