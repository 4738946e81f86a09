#include "identity/service.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "identity/sql.hpp"

namespace ovation::identity {
namespace {
constexpr auto follow_every = std::chrono::seconds(1);
constexpr std::int64_t overlap_ms = 60'000;  // a transaction may commit so long after it began

std::string hash_of(const std::string& token) {
    const auto digest = crypto::sha256(token);
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

fault unauthenticated(std::string_view reason, std::string_view message) {
    fault f = denied(reason, message);
    f.kind = code::unauthenticated;
    return f;
}
fault wrong_log_in() { return unauthenticated("wrong_log_in", "The name or the password is wrong."); }

// Columns: id, subject, display_name, roles, banned, show_on_boards, language.
v1::User user_of(const pg::rows& r, int row) {
    v1::User out;
    out.set_id(r.number(row, 0));
    out.set_handle(r.string(row, 1));
    out.set_display_name(r.string(row, 2));
    const role_set roles(static_cast<std::uint32_t>(r.number(row, 3)));
    for (int role = v1::ROLE_AUDIENCE; role <= v1::ROLE_SERVICE; ++role)
        if (roles.has(role)) out.add_roles(static_cast<v1::Role>(role));
    out.set_show_on_boards(r.boolean(row, 5));
    out.set_language(r.string(row, 6));
    return out;
}

result<void> check_display_name(std::string_view name) {
    const auto length = text::characters(name);
    if (!length || *length < 1 || *length > 40 || text::has_control(name)) return invalid("display_name", "a display name has 1 to 40 characters.");
    return result<void>{};
}
}  // namespace

result<void> check_handle(std::string_view handle) {
    const bool good = handle.size() >= 3 && handle.size() <= 32 &&
                      std::ranges::all_of(handle, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
    if (!good) return invalid("handle", "a name for log-in has 3 to 32 of a-z, 0-9, _ and -.");
    return result<void>{};
}
result<void> check_password(std::string_view password) {
    if (password.size() < 8 || password.size() > 128) return invalid("password", "a password has 8 to 128 bytes.");
    return result<void>{};
}

awaitable<result<user_id>> create_user(pg::pool& db, new_user who) {
    OVATION_CO_CHECK(check_handle(who.handle));
    OVATION_CO_CHECK(check_display_name(who.display_name));
    OVATION_CO_TRY(auto made, co_await db.query(sql::create_user, pg::with(who.handle, who.display_name, who.password_hash, static_cast<std::int64_t>(who.roles.bits()), who.demo)));
    if (made.empty()) {
        fault f = invalid("handle", "this name is taken. Choose another one.");
        f.kind = code::already_exists;
        f.reason = "handle_taken";
        co_return f;
    }
    co_return user_id(made.number(0, 0));
}

awaitable<result<std::optional<user_id>>> find_user(pg::pool& db, std::string handle) {
    OVATION_CO_TRY(auto r, co_await db.query(sql::user_by_handle, pg::with(handle)));
    if (r.empty()) co_return std::optional<user_id>{};
    co_return std::optional<user_id>(user_id(r.number(0, 0)));
}

awaitable<result<std::string>> installation_key(pg::pool& db) {
    std::array<std::uint8_t, 32> fresh{};
    crypto::random_bytes(fresh);
    pg::params p;
    p.add_bytes({reinterpret_cast<const char*>(fresh.data()), fresh.size()});
    std::vector<pg::request> both;
    both.push_back({&sql::offer_key, std::move(p)});
    both.push_back({&sql::installation_key, {}});
    OVATION_CO_TRY(auto r, co_await db.run(std::move(both)));
    co_return r.back().string(0, 0);
}

void service::register_with(rpc_table& table, access_gate& gate) {
    const std::string auth = "/ovation.v1.AuthService/";
    bind_rpc(table, auth + "Register", *this, &service::register_user);
    bind_rpc(table, auth + "LogIn", *this, &service::log_in);
    bind_rpc(table, auth + "Refresh", *this, &service::refresh);
    bind_rpc(table, auth + "LogOut", *this, &service::log_out);
    bind_rpc(table, auth + "GetMe", *this, &service::get_me);
    bind_rpc(table, auth + "UpdateMe", *this, &service::update_me);
    bind_rpc(table, auth + "ListSessions", *this, &service::list_sessions);
    bind_rpc(table, auth + "EndSession", *this, &service::end_session);
    const std::string ops = "/ovation.v1.OpsService/";
    bind_rpc(table, ops + "FindUser", *this, &service::find);
    bind_rpc(table, ops + "BanUser", *this, &service::ban);
    bind_rpc(table, ops + "GrantRole", *this, &service::grant_role);
    bind_rpc(table, ops + "ListAudit", *this, &service::list_audit);
    gate.resolve(v1::RELATION_OWN, "session_id", access_gate::by_row(p_.all, sql::is_session_owner));
}

awaitable<result<void>> service::load() {
    if (!p_.demo) OVATION_CO_CHECK(co_await p_.all.db().query(sql::end_demo_sessions, {}));
    co_return co_await follow();
}

// What other servers and whoever writes into the database have ended and lifted since.
awaitable<result<void>> service::follow() {
    const auto now = p_.clock.now_ms();
    const auto since = p_.ended.changes();
    OVATION_CO_TRY(const auto banned, co_await p_.all.db().query(sql::banned_users, {}));
    OVATION_CO_TRY(const auto ended, co_await p_.all.db().query(sql::ended_lately, pg::with(std::min(limits::access_token_ms, now - followed_ms_ + overlap_ms))));
    std::vector<user_id> users;
    std::vector<std::pair<user_id, session_id>> sessions;
    for (int i = 0; i < banned.size(); ++i) users.emplace_back(banned.number(i, 0));
    for (int i = 0; i < ended.size(); ++i) sessions.emplace_back(user_id(ended.number(i, 1)), session_id(ended.number(i, 0)));
    p_.ended.follow(users, sessions, since);
    followed_ms_ = now;
    co_return result<void>{};
}

void service::keep_following(core& on) {
    auto timer = std::make_shared<asio::steady_timer>(on.context, follow_every);
    timer->async_wait([this, &on, timer](error_code failed) {
        if (failed) return;
        on.tasks.spawn("ended_elsewhere", [](service& self, core& where) -> awaitable<void> {
            if (auto followed = co_await self.follow(); !followed) log::warn("identity", "not_followed", "err={}", log::quoted(followed.error().message));
            self.keep_following(where);
        }(*this, on));
    });
}

result<caller> service::authenticate(std::string_view token) const {
    auto who = p_.tokens.read(token, p_.clock.now_ms());
    if (!who) return unauthenticated("token_invalid", "Your log-in has expired. Log in again.");
    if (p_.ended.refused(who->user, who->session)) return unauthenticated("session_ended", "This session has ended. Log in again.");
    return *who;
}

v1::LogInResponse service::answer(const pg::rows& user, int row, session_id session, std::string refresh_token) const {
    caller who;
    who.user = user_id(user.number(row, 0));
    who.session = session;
    who.roles = role_set(static_cast<std::uint32_t>(user.number(row, 3)));
    who.name = user.string(row, 2);
    v1::LogInResponse out;
    out.set_access_token(p_.tokens.make(who, p_.clock.now_ms() + limits::access_token_ms));
    out.set_refresh_token(std::move(refresh_token));
    out.set_expires_in_ms(limits::access_token_ms);
    *out.mutable_user() = user_of(user, row);
    return out;
}

awaitable<result<v1::LogInResponse>> service::open_session(user_id user, caller seen) {
    OVATION_CO_CHECK(co_await p_.opener.open(user));
    auto refresh_token = crypto::random_token();
    pg::params p = pg::with(user);
    p.add_bytes(hash_of(refresh_token)).add(seen.client);
    std::vector<pg::request> both;
    both.push_back({&sql::open_session, std::move(p)});
    both.push_back({&sql::user_by_id, pg::with(user)});
    OVATION_CO_TRY(auto r, co_await p_.all.db().run(std::move(both)));
    co_return answer(r[1], 0, session_id(r[0].number(0, 0)), std::move(refresh_token));
}

awaitable<result<v1::LogInResponse>> service::register_user(granted who, v1::RegisterRequest request) {
    if (const auto wait = log_ins_.take(who.who().address); wait > 0) co_return exhausted("too_many_log_ins", "Too many tries. Wait a moment.", wait);
    OVATION_CO_CHECK(check_handle(request.handle()));
    OVATION_CO_CHECK(check_display_name(request.display_name()));
    OVATION_CO_CHECK(check_password(request.password()));
    OVATION_CO_TRY(auto hash, co_await p_.workers.run([password = request.password()] { return crypto::hash_password(password); }));
    role_set roles;
    roles.add(v1::ROLE_AUDIENCE);
    OVATION_CO_TRY(const auto user, co_await create_user(p_.all.db(), {request.handle(), request.display_name(), std::move(hash), roles}));
    co_return co_await open_session(user, who.who());
}

awaitable<result<v1::LogInResponse>> service::log_in(granted who, v1::LogInRequest request) {
    if (const auto wait = log_ins_.take(who.who().address); wait > 0) co_return exhausted("too_many_log_ins", "Too many tries. Wait a moment.", wait);
    if (request.handle().empty()) co_return invalid("handle", "say who logs in.");
    if (request.password().size() > 128) co_return wrong_log_in();
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::user_by_handle, pg::with(request.handle())));
    // An unknown name costs the same time as a wrong password.
    auto hash = r.empty() || r.null(0, 7) ? std::string() : r.string(0, 7);
    OVATION_CO_TRY(const bool right, co_await p_.workers.run([hash = std::move(hash), password = request.password()] {
        static const std::string nobody = crypto::hash_password("nobody has this password");
        return crypto::verify_password(hash.empty() ? nobody : hash, password);
    }));
    if (!right || r.empty()) co_return wrong_log_in();
    if (r.boolean(0, 4)) co_return denied("banned", "This account is banned.");
    if (r.boolean(0, 8) && !p_.demo) co_return denied("demo_account", "This is a demo account; its password is published. Make an account of your own.");
    co_return co_await open_session(user_id(r.number(0, 0)), who.who());
}

awaitable<result<v1::LogInResponse>> service::refresh(granted, v1::RefreshRequest request) {
    // A second time where another one came in between: it is spent now, and known as that.
    for (int tries = 0; tries < 2; ++tries) {
        auto fresh = crypto::random_token();
        pg::params p;
        p.add_bytes(hash_of(request.refresh_token())).add_bytes(hash_of(fresh)).add(limits::refresh_token_ms).add(limits::refresh_again_ms);
        OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::swap_refresh, std::move(p)));
        if (r.empty()) continue;
        if (r.boolean(0, 4)) co_return denied("banned", "This account is banned.");
        co_return answer(r, 0, session_id(r.number(0, 7)), std::move(fresh));
    }
    // Spent a while ago: somebody else has it too. End the session.
    pg::params old;
    old.add_bytes(hash_of(request.refresh_token())).add(limits::refresh_again_ms);
    OVATION_CO_TRY(auto spent, co_await p_.all.db().query(sql::end_by_spent_refresh, std::move(old)));
    if (!spent.empty()) p_.ended.end_session(user_id(spent.number(0, 1)), session_id(spent.number(0, 0)));
    co_return unauthenticated("refresh_invalid", "Your log-in has expired. Log in again.");
}

awaitable<result<void>> service::end(user_id user, session_id session) {
    OVATION_CO_CHECK(co_await p_.all.db().query(sql::end_session, pg::with(session)));
    p_.ended.end_session(user, session);
    co_return result<void>{};
}
awaitable<result<v1::LogOutResponse>> service::log_out(granted who, v1::LogOutRequest) {
    OVATION_CO_CHECK(co_await end(who.user(), who.who().session));
    co_return v1::LogOutResponse();
}
awaitable<result<v1::EndSessionResponse>> service::end_session(granted who, v1::EndSessionRequest request) {
    OVATION_CO_CHECK(co_await end(who.user(), session_id(request.session_id())));
    co_return v1::EndSessionResponse();
}

awaitable<result<v1::GetMeResponse>> service::get_me(granted who, v1::GetMeRequest) {
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::user_by_id, pg::with(who.user())));
    if (r.empty()) co_return not_found("This account");
    v1::GetMeResponse out;
    *out.mutable_user() = user_of(r, 0);
    co_return out;
}

awaitable<result<v1::GetMeResponse>> service::update_me(granted who, v1::UpdateMeRequest request) {
    if (request.has_display_name()) OVATION_CO_CHECK(check_display_name(request.display_name()));
    if (request.has_language() && request.language() != "zh" && request.language() != "en") co_return invalid("language", "zh or en.");
    pg::params p = pg::with(who.user());
    if (request.has_display_name()) p.add(request.display_name()); else p.add_null();
    if (request.has_show_on_boards()) p.add(request.show_on_boards()); else p.add_null();
    if (request.has_language()) p.add(request.language()); else p.add_null();
    OVATION_CO_CHECK(co_await p_.all.db().query(sql::update_user, std::move(p)));
    co_return co_await get_me(std::move(who), {});
}

awaitable<result<v1::ListSessionsResponse>> service::list_sessions(granted who, v1::ListSessionsRequest) {
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::sessions_of, pg::with(who.user())));
    v1::ListSessionsResponse out;
    for (int i = 0; i < r.size(); ++i) {
        auto& s = *out.add_sessions();
        s.set_id(r.number(i, 0));
        s.set_client(r.string(i, 1));
        s.set_created_at_ms(r.number(i, 2));
        s.set_used_at_ms(r.number(i, 3));
        s.set_current(s.id() == who.who().session.value);
    }
    co_return out;
}

awaitable<result<v1::FindUserResponse>> service::find(granted, v1::FindUserRequest request) {
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::user_by_handle, pg::with(request.handle())));
    if (r.empty()) co_return not_found("This account");
    v1::FindUserResponse out;
    *out.mutable_user() = user_of(r, 0);
    out.set_banned(r.boolean(0, 4));
    co_return out;
}

awaitable<result<v1::BanUserResponse>> service::ban(granted who, v1::BanUserRequest request) {
    if (request.user_id() == who.user().value) co_return precondition("not_yourself", "You cannot ban yourself.");
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::ban_user, pg::with(request.user_id(), !request.lift(), who.user(), request.reason())));
    if (r.empty()) co_return not_found("This account");
    const user_id user(request.user_id());
    if (request.lift()) p_.ended.lift(user);
    else p_.ended.ban(user);
    log::info("identity", request.lift() ? "ban_lifted" : "banned", "user_id={} actor={}", user.value, who.user().value);
    co_return v1::BanUserResponse();
}

awaitable<result<v1::User>> service::grant_role(granted who, v1::GrantRoleRequest request) {
    if (request.role() < v1::ROLE_SINGER || request.role() > v1::ROLE_INTEGRATOR) co_return invalid("role", "singer, agent, ops, finance or integrator.");
    if (request.user_id() == who.user().value) co_return precondition("not_yourself", "Another person has to change your own roles.");
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::grant_role, pg::with(request.user_id(), std::int64_t{1} << request.role(), request.revoke(), who.user(), request.reason())));
    if (r.empty()) co_return not_found("This account");
    // Tokens made before carry the old roles: they end, and the next refresh brings the new ones.
    OVATION_CO_TRY(auto user, co_await p_.all.db().query(sql::user_by_id, pg::with(request.user_id())));
    if (request.revoke()) {
        OVATION_CO_TRY(auto ended, co_await p_.all.db().query(sql::end_sessions_of, pg::with(request.user_id())));
        for (int i = 0; i < ended.size(); ++i) p_.ended.end_session(user_id(request.user_id()), session_id(ended.number(i, 0)));
    }
    co_return user_of(user, 0);
}

awaitable<result<v1::ListAuditResponse>> service::list_audit(granted, v1::ListAuditRequest request) {
    const auto limit = request.limit() == 0 ? 50 : request.limit();
    if (limit < 1 || limit > 500) co_return invalid("limit", "1 to 500 rows.");
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::list_audit, pg::with(limit)));
    v1::ListAuditResponse out;
    for (int i = 0; i < r.size(); ++i) {
        auto& a = *out.add_rows();
        a.set_id(r.number(i, 0));
        a.set_at_ms(r.number(i, 1));
        a.set_actor_id(r.number(i, 2));
        a.set_actor(r.string(i, 3));
        a.set_action(r.string(i, 4));
        a.set_subject(r.string(i, 5));
        a.set_reason(r.string(i, 6));
        a.set_before(r.string(i, 7));
        a.set_after(r.string(i, 8));
    }
    co_return out;
}

}  // namespace ovation::identity
