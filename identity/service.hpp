// AuthService and the people's part of OpsService.
#pragma once
#include "base/cores.hpp"
#include "base/limits.hpp"
#include "base/worker_pool.hpp"
#include "identity/access_gate.hpp"
#include "identity/revocations.hpp"
#include "identity/tokens.hpp"
#include "ovation/v1/auth.pb.h"
#include "ovation/v1/ops.pb.h"

namespace ovation::identity {

// What must stand before an account can be used, made by other folders (the wallet). Asked again at each log-in.
class account_opener {
public:
    virtual ~account_opener() = default;
    virtual awaitable<result<void>> open(user_id user) = 0;
};

struct new_user {
    std::string handle, display_name, password_hash;
    role_set roles;
    bool demo = false;  // its password is published: it logs in at demo servers only
};
// Fails with already_exists when the handle is taken.
awaitable<result<user_id>> create_user(pg::pool& db, new_user who);
awaitable<result<std::optional<user_id>>> find_user(pg::pool& db, std::string handle);
result<void> check_handle(std::string_view handle);
result<void> check_password(std::string_view password);

// The installation's key for tokens: made once, kept in the database.
awaitable<result<std::string>> installation_key(pg::pool& db);

struct service_parts {
    cores& all;
    worker_pool& workers;
    const clock_source& clock;
    token_codec& tokens;
    revocations& ended;
    account_opener& opener;
    double rate_factor = 1;
    bool demo = false;
};

class service {
public:
    explicit service(service_parts parts) : p_(parts), log_ins_(parts.clock, limits::log_ins_per_address.times(parts.rate_factor)) {}
    void register_with(rpc_table& table, access_gate& gate);
    // Loads who is banned and which sessions ended while their tokens still run.
    awaitable<result<void>> load();
    // Each second from now on, on this core: other servers end them too.
    void keep_following(core& on);
    // The caller behind an access token; a fault when it is forged, expired, ended or banned.
    result<caller> authenticate(std::string_view token) const;

    awaitable<result<v1::LogInResponse>> register_user(granted who, v1::RegisterRequest request);
    awaitable<result<v1::LogInResponse>> log_in(granted who, v1::LogInRequest request);
    awaitable<result<v1::LogInResponse>> refresh(granted who, v1::RefreshRequest request);
    awaitable<result<v1::LogOutResponse>> log_out(granted who, v1::LogOutRequest);
    awaitable<result<v1::GetMeResponse>> get_me(granted who, v1::GetMeRequest);
    awaitable<result<v1::GetMeResponse>> update_me(granted who, v1::UpdateMeRequest request);
    awaitable<result<v1::ListSessionsResponse>> list_sessions(granted who, v1::ListSessionsRequest);
    awaitable<result<v1::EndSessionResponse>> end_session(granted who, v1::EndSessionRequest request);

    awaitable<result<v1::FindUserResponse>> find(granted who, v1::FindUserRequest request);
    awaitable<result<v1::BanUserResponse>> ban(granted who, v1::BanUserRequest request);
    awaitable<result<v1::User>> grant_role(granted who, v1::GrantRoleRequest request);
    awaitable<result<v1::ListAuditResponse>> list_audit(granted who, v1::ListAuditRequest request);

private:
    awaitable<result<v1::LogInResponse>> open_session(user_id user, caller seen);
    v1::LogInResponse answer(const pg::rows& user, int row, session_id session, std::string refresh_token) const;
    awaitable<result<void>> end(user_id user, session_id session);
    awaitable<result<void>> follow();

    service_parts p_;
    std::int64_t followed_ms_ = 0;
    rate_limiter<std::string> log_ins_;
};

}  // namespace ovation::identity
