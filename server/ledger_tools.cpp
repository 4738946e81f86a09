#include "server/ledger_tools.hpp"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "ledger/audit.hpp"
#include "ledger/export.hpp"
#include "ledger/sealing.hpp"
#include "payments/audit.hpp"
#include "payments/month_close.hpp"
#include "payments/steps.hpp"
#include "server/sql.hpp"
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
    auto checks = with_books<std::vector<ledger::check>>(t, [&](pg::connection& db) { return ledger::verify(db, seals); });
    for (auto& one : with_books<std::vector<ledger::check>>(t, [](pg::connection& db) { return payments::verify(db); })) checks.push_back(std::move(one));
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

namespace {
// The files that a signed manifest names lie beside it, as they were.
int check_pack(const std::string& path, const std::string& text, const ledger::seal_verifier& key) {
    const auto body = ledger::open_note(text, key);
    if (!body) {
        std::cout << body.error().message << '\n';
        return 1;
    }
    std::istringstream lines{std::string(*body)};
    bool whole = true;
    int files = 0;
    for (std::string line; std::getline(lines, line);) {
        if (line.size() < 66 || line[64] != ' ' || line.find_first_not_of("0123456789abcdef") != 64) continue;
        const auto name = std::filesystem::path(line.substr(65)).filename();
        const auto file = std::filesystem::path(path).parent_path() / name;
        const bool same = std::filesystem::exists(file) && crypto::to_hex(crypto::sha256(text_of_file(file.string(), "file"))) == line.substr(0, 64);
        whole = whole && same;
        ++files;
        std::cout << fmt::format("{:<4} {}\n", same ? "ok" : "BAD", name.string());
    }
    std::cout << (whole ? fmt::format("The pack is as {} signed it: {} files.\n", key.name, files) : std::string("The pack is NOT as it was signed.\n"));
    return whole ? 0 : 1;
}
void write_whole(const std::filesystem::path& path, const std::string& text) {
    std::ofstream out(path, std::ios::binary);
    out << text;
    out.flush();
    if (!out) throw failed{fmt::format("{} cannot be written.", path.string())};
}
user_id finance_of(tool& t, const ledger_arguments& a) {
    const auto who = run(t.context, t.db.query(sql::finance_by_handle, pg::with(a.by)));
    if (who.empty()) throw failed{fmt::format("by: {} is not an account with the role finance.", a.by)};
    return user_id(who.number(0, 0));
}
// A step that was written down. The server that is the writer books it within a second. Where none runs, this program becomes the
// writer for a moment.
void book(tool& t, const config& c, std::string subject, std::int64_t id, const std::function<bool()>& booked) {
    for (int i = 0; i < 30 && !booked(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (booked()) return;
    system_clock_source clock;
    metrics registry;
    cores one(1, c.database, 2);
    ledger::posting_queue queue({c.database, fmt::format("{}:{}", subject, ::getpid()), c.time_zone}, clock, registry);
    payments::steps books(one.at(0), queue);
    one.start();
    queue.start();
    run(t.context, [](payments::steps& s, std::string what, std::int64_t of) -> awaitable<result<bool>> {
        OVATION_CO_CHECK(co_await s.settle(what, of));
        co_return true;
    }(books, subject, id));
    queue.stop(std::chrono::seconds(5));
    one.join();
}
}  // namespace

int note_restore(const config& c, const ledger_arguments& a) {
    tool t(c);
    const auto id = run(t.context, payments::note_restore(t.db, finance_of(t, a), a.reason));
    const auto marker = [&] { return run(t.context, t.db.query(sql::restore_marker, pg::with(id))); };
    book(t, c, "restore", id, [&] { return !marker().empty(); });
    std::cout << fmt::format("The restore is entry {} of the books. Boards are counted again from them.\n", marker().text(0, 0));
    return 0;
}

int close_month(const config& c, const ledger_arguments& a) {
    const auto first = must(payments::first_of_month(a.month));
    const auto signer = signer_of(a);
    std::optional<payments::bank_statement> bank;
    if (!a.bank_file.empty()) bank = must(payments::read_camt_053(text_of_file(a.bank_file, "bank")));
    tool t(c);
    const auto id = run(t.context, payments::close_month(t.db, first, c.time_zone, finance_of(t, a), a.reason));
    book(t, c, "month_close", id, [&] { return !run(t.context, t.db.query(sql::is_month_closed, pg::with(first))).empty(); });
    const auto pack = run(t.context, payments::make_pack(t.db, first, c.time_zone, bank));
    const auto folder = std::filesystem::path(a.folder) / a.month;
    std::filesystem::create_directories(folder);
    for (const auto& [name, text] : pack.files) write_whole(folder / name, text);
    write_whole(folder / "manifest", ledger::sign_note(payments::manifest_of(pack, a.month), signer));
    write_whole(folder / "verifier", signer.verifier().text() + "\n");
    std::cout << fmt::format("{} is closed by entry {}, its last entry is {}. {} files are in {}.\n", a.month, pack.marker_seq, pack.last_seq, pack.files.size(), folder.string());
    if (bank)
        std::cout << fmt::format("bank: {} bookings agree, {} only in the books, {} only at the bank; the closing balances differ by {} (minor units)\n", pack.bank_matched, pack.bank_only_ours, pack.bank_only_theirs,
                                 pack.bank_difference_minor);
    return 0;
}

int check_proof(const ledger_arguments& a) {
    const auto key = verifier_of(a);
    const auto text = text_of_file(a.file, "file");
    if (text.starts_with("ovation/month-close@")) return check_pack(a.file, text, key);
    const auto proof = ledger::check_proof(text, key);
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
