#include "server/schema.hpp"

#include <spdlog/fmt/fmt.h>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "server/migrations.hpp"

namespace ovation::server {
namespace {
const pg::statement create_table{"schema_create", "create table if not exists public.schema_migration (name text primary key, sha256 text not null, min_server int not null default 1, at timestamptz not null default now())"};
const pg::statement list_done{"schema_list", "select name, sha256, min_server from public.schema_migration order by name"};
const pg::statement lock_schema{"schema_lock", "select pg_advisory_lock(hashtext('ovation migrate'))"};
// Number of this server in the order of schemas; a migration that breaks older servers raises min_server.
constexpr int server_number = 1;
const pg::statement local_time{"schema_local_time", "select now() at time zone $1"};
constexpr auto patience = std::chrono::minutes(10);

std::string digest_of(const migration& m) { return crypto::to_hex(crypto::sha256(m.sql)); }

constexpr std::string_view insufficient_privilege = "42501";
fault not_the_owner() { return denied("not_the_owner", "This role may not change the schema; give the owner's with --owner-database."); }

// Migrations have many statements: the simple protocol, on a connection of their own.
result<void> run_script(const std::string& conninfo, const migration& m) {
    std::unique_ptr<PGconn, void (*)(PGconn*)> c(PQconnectdb(conninfo.c_str()), &PQfinish);
    if (PQstatus(c.get()) != CONNECTION_OK) return unavailable("database_lost", PQerrorMessage(c.get()));
    PQsetNoticeProcessor(c.get(), [](void*, const char*) {}, nullptr);
    const auto note = fmt::format("insert into public.schema_migration (name, sha256) values ('{}', '{}')", m.name, digest_of(m));
    const auto script = fmt::format("begin;\n{}\n;{};commit;", m.sql, note);
    std::unique_ptr<PGresult, void (*)(PGresult*)> r(PQexec(c.get(), script.c_str()), &PQclear);
    const char* state = PQresultErrorField(r.get(), PG_DIAG_SQLSTATE);
    if (state && state == insufficient_privilege) return not_the_owner();
    if (PQresultStatus(r.get()) != PGRES_COMMAND_OK) return internal_fault(fmt::format("migration {}: {}", m.name, PQerrorMessage(c.get())));
    return result<void>{};
}
}  // namespace

awaitable<result<int>> migrate(asio::io_context& context, std::string owner_conninfo) {
    pg::connection c(context);
    OVATION_CO_CHECK(co_await c.open(owner_conninfo, std::chrono::seconds(10)));
    OVATION_CO_CHECK(co_await c.query(lock_schema, {}, patience));
    if (auto made = co_await c.query(create_table, {}, patience); !made)
        co_return pg::sqlstate(made.error()) == insufficient_privilege ? not_the_owner() : made.error();
    OVATION_CO_TRY(auto done, co_await c.query(list_done, {}, patience));
    int applied = 0;
    for (const auto& m : migrations()) {
        bool known = false;
        for (int i = 0; i < done.size(); ++i) {
            if (done.text(i, 0) != m.name) continue;
            known = true;
            if (done.text(i, 1) != digest_of(m)) co_return precondition("migration_changed", fmt::format("Migration {} was applied with another text. Restore it; a change is a new migration.", m.name));
        }
        if (known) continue;
        OVATION_CO_CHECK(run_script(owner_conninfo, m));
        log::info("schema", "migrated", "name={}", m.name);
        ++applied;
    }
    c.close();
    co_return applied;
}

awaitable<result<void>> check_time_zone(pg::pool& db, std::string zone) {
    auto now = co_await db.query(local_time, pg::with(zone));
    if (now) co_return result<void>{};
    if (pg::sqlstate(now.error()) == "22023") co_return invalid("time_zone", fmt::format("PostgreSQL knows no zone \"{}\"; use an IANA name such as Asia/Shanghai.", zone));
    co_return now.error();
}

awaitable<result<void>> check_schema(pg::pool& db) {
    auto done = co_await db.query(list_done, {});
    if (!done) {
        if (pg::sqlstate(done.error()) == "42P01" || pg::sqlstate(done.error()) == "3F000") co_return precondition("no_schema", "The database is empty. Run `ovation migrate` first.");
        co_return done.error();
    }
    for (const auto& m : migrations()) {
        bool known = false;
        for (int i = 0; i < done->size(); ++i) known |= done->text(i, 0) == m.name;
        if (!known) co_return precondition("schema_too_old", fmt::format("Migration {} is missing. Run `ovation migrate`.", m.name));
    }
    for (int i = 0; i < done->size(); ++i)
        if (done->number(i, 2) > server_number) co_return precondition("schema_too_new", fmt::format("The schema ({}) needs a newer server than this one.", done->text(i, 0)));
    co_return result<void>{};
}

}  // namespace ovation::server
