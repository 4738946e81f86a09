#include "server/ledger_tools.hpp"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "ledger/audit.hpp"
#include "ledger/export.hpp"
#include "ledger/sealing.hpp"
#include "server/tool.hpp"

namespace ovation::server {
namespace {
template <class T>
T must(result<T> r) {
    if (!r) throw failed{r.error().in_full()};
    return std::move(*r);
}
// With a connection of the tool's pool.
template <class T, class Work>
T with_books(tool& t, Work work) {
    return run(t.context, [](tool& x, Work todo) -> awaitable<result<T>> {
        auto lease = co_await x.db.acquire();
        if (!lease) co_return lease.error();
        co_return co_await todo(**lease);
    }(t, std::move(work)));
}
std::string text_of_file(const std::string& path, std::string_view what) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    if (!in) throw failed{fmt::format("{}: {} cannot be read.", what, path)};
    return out.str();
}
// Given as itself, or as the name of a file that holds it.
ledger::seal_verifier verifier_of(const ledger_arguments& a) {
    auto text = a.verifier;
    if (text.empty() && !a.folder.empty()) text = (std::filesystem::path(a.folder) / "verifier").string();
    if (text.empty()) throw failed{"verifier: say whose signature counts: the key that ovation ledger seal printed, or a file that holds it."};
    if (std::filesystem::exists(text)) text = text_of_file(text, "verifier");
    return must(ledger::seal_verifier::parse(text));
}
// Read, or made where there is none; readable by its owner alone.
ledger::seal_signer signer_of(const ledger_arguments& a) {
    if (std::filesystem::exists(a.signer_file)) return must(ledger::seal_signer::parse(text_of_file(a.signer_file, "signer")));
    auto made = ledger::seal_signer::make(a.origin);
    const auto text = made.text() + "\n";
    const int fd = ::open(a.signer_file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const bool good = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
    if (fd >= 0) ::close(fd);
    if (!good) throw failed{fmt::format("signer: {} cannot be written.", a.signer_file)};
    std::cerr << fmt::format("a new signer's key was made: {}. Keep it away from the database's people, and keep a copy.\n", a.signer_file);
    return made;
}
}  // namespace

int verify_books(const config& c, const ledger_arguments& a) {
    std::vector<ledger::checkpoint> seals;
    if (!a.folder.empty()) {
        const auto key = verifier_of(a);
        for (const auto& note : ledger::seal_folder(a.folder).notes()) seals.push_back(must(ledger::open_checkpoint(note, key)));
    }
    tool t(c);
    const auto checks = with_books<std::vector<ledger::check>>(t, [&](pg::connection& db) { return ledger::verify(db, seals); });
    bool clean = true;
    for (const auto& one : checks) {
        clean = clean && one.ok;
        std::cout << fmt::format("{:<9} {:<4} {:>10}  {}\n", one.name, one.ok ? "ok" : "BAD", one.count, one.detail);
    }
    std::cout << (clean ? "The books are clean.\n" : "The books are NOT clean. Stop taking money and look at the lines marked BAD.\n");
    return clean ? 0 : 1;
}

int dump_books(const config& c) {
    tool t(c);
    with_books<std::int64_t>(t, [](pg::connection& db) { return ledger::dump(db, [](const std::string& line) { std::cout << line << '\n'; }); });
    return 0;
}

int export_books(const config& c, const ledger_arguments& a) {
    if (a.format != "hledger" && a.format != "beancount") throw failed{"format: hledger or beancount."};
    tool t(c);
    const auto written = with_books<std::int64_t>(t, [&](pg::connection& db) {
        return ledger::export_books(db, a.format == "hledger" ? ledger::export_format::hledger : ledger::export_format::beancount, "CNY", c.time_zone,
                                    [](const std::string& line) { std::cout << line << '\n'; });
    });
    std::cerr << written << " entries\n";
    return 0;
}

int rebuild_books(const config& c) {
    config owner = c;
    owner.database = c.owner_database;
    tool t(owner);
    const auto wrong = with_books<std::int64_t>(t, [](pg::connection& db) { return ledger::rebuild(db); });
    std::cout << fmt::format("Every balance and day's spending was counted again from the journal; {} were not what they had to be.\n", wrong);
    return 0;
}

int seal_books(const config& c, const ledger_arguments& a) {
    tool t(c);
    const auto signer = signer_of(a);
    ledger::seal_folder folder(a.folder);
    const auto made = with_books<ledger::checkpoint>(t, [&](pg::connection& db) { return ledger::seal(db, folder, signer); });
    std::ofstream(std::filesystem::path(a.folder) / "verifier") << signer.verifier().text() << '\n';
    std::cout << fmt::format("{} entries are sealed, root {}\nverifier {}\n", made.size, crypto::base64(ledger::bytes_of(made.root)), signer.verifier().text());
    return 0;
}

int prove(const config& c, const ledger_arguments& a) {
    const auto key = verifier_of(a);
    const ledger::seal_folder folder(a.folder);
    if ((a.seq == 0) == (a.from == 0)) throw failed{"Say which entry is to be proven, or --from which checkpoint the newest goes on."};
    if (a.from != 0) {
        std::cout << must(ledger::prove_consistency(folder, key, a.from));
        return 0;
    }
    tool t(c);
    std::cout << with_books<std::string>(t, [&](pg::connection& db) { return ledger::prove_entry(db, folder, key, a.seq); });
    return 0;
}

int check_proof(const ledger_arguments& a) {
    const auto key = verifier_of(a);
    const auto proof = ledger::check_proof(text_of_file(a.file, "file"), key);
    if (!proof) {
        std::cout << proof.error().message << '\n';
        return 1;
    }
    for (const auto& [name, value] : proof->fields) std::cout << fmt::format("{:<14} {}\n", name, value);
    std::cout << (proof->seq != 0 ? fmt::format("Entry {} is in the books of {}, as their checkpoint of {} entries signs them.\n", proof->seq, proof->at.origin, proof->at.size)
                                  : fmt::format("The books of {} with {} entries go on from the older checkpoint: nothing before it was changed.\n", proof->at.origin, proof->at.size));
    return 0;
}

}  // namespace ovation::server
