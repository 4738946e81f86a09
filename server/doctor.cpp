#include "server/doctor.hpp"

#include <spdlog/fmt/fmt.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include <cstdlib>

#include "base/clock.hpp"
#include "base/redis.hpp"
#include "server/schema.hpp"
#include "server/sql.hpp"

namespace ovation::server {
namespace {
using grade = finding::grade;
constexpr std::int64_t clock_apart_ms_max = 500;
constexpr std::int64_t disk_free_warn_mib = 1024, disk_free_bad_mib = 128;

finding disk(const std::string& name, const std::string& folder) {
    struct statvfs s {};
    if (::statvfs(folder.c_str(), &s) != 0) return {name, grade::bad, fmt::format("{} cannot be read; make it, and let the service's user write there.", folder)};
    const auto free_mib = static_cast<std::int64_t>(s.f_bavail) * static_cast<std::int64_t>(s.f_frsize) / (1024 * 1024);
    const auto how = free_mib < disk_free_bad_mib ? grade::bad : free_mib < disk_free_warn_mib ? grade::warn : grade::ok;
    return {name, how, fmt::format("{} has {} MiB free{}", folder, free_mib, how == grade::ok ? "." : "; make room soon.")};
}

finding synchronised() {
    timex t{};
    const bool held = ::adjtimex(&t) >= 0 && (t.status & STA_UNSYNC) == 0;
    return {"clock", held ? grade::ok : grade::warn, held ? "is kept by a time service." : "is not kept by a time service; gift keys and limits follow it. Run chrony or systemd-timesyncd."};
}
}  // namespace

awaitable<result<std::vector<finding>>> examine(pg::pool& db, config options) {
    std::vector<finding> out;
    const system_clock_source clock;
    const auto asked_at = clock.now_ms();
    const auto fits = co_await check_schema(db);
    out.push_back({"schema", fits ? grade::ok : grade::bad, fits ? "fits this server." : fits.error().message});
    if (fits) {
        OVATION_CO_TRY(auto r, co_await db.query(sql::doctor, {}, std::chrono::seconds(5)));
        const auto version = r.number(0, 0);
        out.push_back({"postgresql", version >= 150000 ? grade::ok : grade::bad, fmt::format("version {}.{}{}", version / 10000, version % 10000, version >= 150000 ? "." : "; 15 or newer is needed.")});
        const bool durable = r.text(0, 1) == "on" && r.text(0, 2) != "off" && r.text(0, 2) != "local";
        out.push_back({"durability", durable ? grade::ok : grade::bad,
                       fmt::format("fsync {}, synchronous_commit {}{}", r.text(0, 1), r.text(0, 2), durable ? "." : "; both must be on, or a crash loses gifts that were acknowledged.")});
        out.push_back({"checksums", r.text(0, 9) == "on" ? grade::ok : grade::warn, fmt::format("data_checksums {}{}", r.text(0, 9), r.text(0, 9) == "on" ? "." : "; `pg_checksums --enable` finds silent disk errors.")});
        if (r.boolean(0, 3)) out.push_back({"primary", grade::bad, "this is a standby; money is decided on the primary only."});
        out.push_back({"role", r.boolean(0, 5) ? grade::bad : grade::ok, r.boolean(0, 5) ? "may change what is posted; connect as ovation_app." : "cannot change what is posted."});
        const auto apart = std::llabs(r.number(0, 4) - (asked_at + clock.now_ms()) / 2);
        out.push_back({"database clock", apart > clock_apart_ms_max ? grade::warn : grade::ok, fmt::format("{} ms from ours{}", apart, apart > clock_apart_ms_max ? "; let one time service keep both." : ".")});
        if (r.number(0, 8) > 60) out.push_back({"transactions", grade::warn, fmt::format("one is idle for {} s; it holds back vacuum.", r.number(0, 8))});
        out.push_back({"ledger", grade::ok, fmt::format("{} entries; writer {}.", r.number(0, 6), r.text(0, 7).empty() ? "none yet" : r.text(0, 7))});
    }
    redis::client store(db.context(), options.redis);
    if (!store.configured()) {
        out.push_back({"redis", grade::ok, "none is configured; PostgreSQL answers all boards."});
    } else {
        const auto pong = co_await store.command({"PING"});
        out.push_back({"redis", pong ? grade::ok : grade::warn, pong ? "answers." : pong.error().message + " Gifts go on; long boards cost more."});
    }
    out.push_back(disk("media disk", options.media_root));
    out.push_back(synchronised());
    co_return out;
}

}  // namespace ovation::server
