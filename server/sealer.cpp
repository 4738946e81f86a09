#include "server/sealer.hpp"

#include <spdlog/fmt/fmt.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.hpp"
#include "ledger/sealing.hpp"

namespace ovation::server {
namespace {
namespace fs = std::filesystem;

ledger::seal_signer signer_of(const config& c) {
    std::ifstream in(c.seal_signer, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) throw std::runtime_error(fmt::format("seal_signer: {} cannot be read; `ovation ledger seal` makes one.", c.seal_signer));
    auto signer = ledger::seal_signer::parse(text.str());
    if (!signer) throw std::runtime_error(fmt::format("seal_signer: {}", signer.error().message));
    return std::move(*signer);
}
}  // namespace

void check_seals(const config& c) {
    if (c.seal_folder.empty()) return;
    if (c.seal_signer.empty()) throw std::runtime_error("seal_signer: seals need a signer's key; `ovation ledger seal` makes one.");
    (void)signer_of(c);
    // The folder is served.
    const auto folder = fs::weakly_canonical(c.seal_folder).string() + "/";
    if (fs::weakly_canonical(c.seal_signer).string().starts_with(folder)) throw std::runtime_error("seal_signer: the key may not lie in seal_folder, which everybody can read.");
}

sealer::sealer(const config& c, metrics& registry)
    : config_(c),
      sealed_(registry.make_gauge("ovation_ledger_sealed", "Entries in the newest checkpoint of the seals.")),
      failures_(registry.make_counter("ovation_ledger_seal_failures_total", "Seals that could not be made; the log says why.")) {}

void sealer::start() {
    if (!config_.seal_folder.empty()) thread_ = std::thread([this] { run(); });
}
void sealer::stop() {
    {
        std::scoped_lock lock(mutex_);
        if (std::exchange(stopping_, true)) return;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void sealer::run() {
    while (true) {
        seal_once();
        std::unique_lock lock(mutex_);
        if (stopping_) return;
        wake_.wait_for(lock, std::chrono::seconds(config_.seal_every_s), [this] { return stopping_; });
    }
}

void sealer::seal_once() {
    asio::io_context context(1);
    result<ledger::checkpoint> made = internal_fault("it did not end");
    try {
        const auto signer = signer_of(config_);
        ledger::seal_folder folder(config_.seal_folder);
        asio::co_spawn(context, [&]() -> awaitable<void> {
            pg::connection db(context);
            if (auto opened = co_await db.open(config_.database, std::chrono::seconds(5)); !opened) made = opened.error();
            else made = co_await ledger::seal(db, folder, signer);
        }, [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        context.run();
    } catch (const std::exception& e) {
        made = internal_fault(e.what());
    }
    if (made) {
        sealed_.set(made->size);
        log::info("ledger", "sealed", "entries={}", made->size);
    } else {
        failures_.add();
        log::error("ledger", "not_sealed", "err={}", log::quoted(made.error().in_full()));
    }
}

}  // namespace ovation::server
