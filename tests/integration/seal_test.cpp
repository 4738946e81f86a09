// Seals against somebody who holds the database: what was posted cannot be rewritten unseen.
#include <unistd.h>

#include <filesystem>
#include <random>

#include "ledger/export.hpp"
#include "ledger/sealing.hpp"
#include "tests/integration/ledger_house.hpp"

namespace seal_test {
using namespace ovation;
using namespace ovation::ledger;

namespace {
struct sealed_house : ledger_house {
    sealed_house() {
        for (std::int64_t u = 1; u <= 5; ++u) open(u, 1'000);
        post({"promo", "promo:1", {{"promo", -50'000}, {"bonus:1", 50'000}}, "", R"({"reason":"welcome","n":1})"});
        post({"marker", "marker:1", {}, "", "{}"});
        gifts(25);
        post({"hold", "hold:1", {{"wallet:2", -70'000}, {"held:1", 70'000}}, "", "{}"});
        post({"release", "release:1", {{"held:1", -70'000}, {"wallet:2", 70'000}}, "", "{}"});
        settle();
    }
    ~sealed_house() { std::filesystem::remove_all(path); }
    void gifts(int n) {
        const auto with = route(default_rule(), 7, 9);
        const auto without = route(*resolve({}), 8, 0);
        for (int i = 0; i < n; ++i) REQUIRE(post(gift(1 + i % 5, i % 3 == 0 ? without : with, 1 + i % 7)).state == status::posted);
    }
    result<checkpoint> make_seal() {
        return with_books<checkpoint>([this](pg::connection& c) { return seal(c, folder, signer); });
    }
    result<std::string> proof_of(std::int64_t seq) {
        return with_books<std::string>([&](pg::connection& c) { return prove_entry(c, folder, signer.verifier(), seq); });
    }
    // Past triggers and constraints, as a superuser can.
    void tamper(const std::string& sql) const { db.as_owner("set session_replication_role = replica; " + sql); }

    std::filesystem::path path = std::filesystem::temp_directory_path() / ("ovation-sealed-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    seal_folder folder{path};
    seal_signer signer = seal_signer::make("books.test");
    static inline int count = 0;
};
std::string bad_ones(const std::vector<check>& checks) {
    std::string out;
    for (const auto& c : checks)
        if (!c.ok) out += c.name + " ";
    return out;
}

struct column {
    const char *table, *name, *type;
};
// Every column that says what was posted, to whom, by which rule, and what follows from it.
const std::vector<column> columns{
    {"gift", "key", "uuid"}, {"gift", "at", "timestamptz"}, {"gift", "payer", "bigint"}, {"gift", "route", "bigint"}, {"gift", "item", "bigint"}, {"gift", "room", "bigint"},
    {"gift", "performance", "bigint"}, {"gift", "price", "bigint"}, {"gift", "bonus", "bigint"}, {"gift", "gift_only", "bigint"}, {"gift", "vat", "bigint"}, {"gift", "rights", "bigint"},
    {"gift", "singer", "bigint"}, {"gift", "agent", "bigint"}, {"gift", "venue", "bigint"}, {"gift", "platform", "bigint"}, {"gift", "promo", "bigint"}, {"gift", "quantity", "int"},
    {"gift", "seq", "bigint"}, {"entry", "seq", "bigint"}, {"entry", "kind", "text"}, {"entry", "key", "text"}, {"entry", "at", "timestamptz"}, {"entry", "accounts", "bigint[]"},
    {"entry", "amounts", "bigint[]"}, {"entry", "reference", "text"}, {"entry", "detail", "jsonb"}, {"entry", "salt", "bytea"}, {"route", "rule_id", "bigint"}, {"route", "singer_user", "bigint"},
    {"route", "channel_id", "bigint"}, {"route", "vat_account", "bigint"}, {"route", "rights_account", "bigint"}, {"route", "singer_account", "bigint"}, {"route", "agent_account", "bigint"},
    {"route", "venue_account", "bigint"}, {"route", "platform_account", "bigint"}, {"route", "promo_account", "bigint"}, {"split_rule", "preset", "text"}, {"split_rule", "preset_version", "int"},
    {"split_rule", "source", "text"}, {"split_rule", "source_id", "bigint"}, {"split_rule", "gross", "boolean"}, {"split_rule", "vat_bp", "int"}, {"split_rule", "rights_bp", "int"},
    {"split_rule", "singer_bp", "int"}, {"split_rule", "agent_bp", "int"}, {"split_rule", "venue_bp", "int"}, {"split_rule", "platform_bp", "int"}, {"split_rule", "bonus_singer_bp", "int"},
    {"account", "name", "text"}, {"account", "kind", "text"}, {"account", "owner_id", "bigint"}, {"account", "floored", "boolean"}, {"account", "whole_coins", "boolean"},
    {"wallet", "wallet_account", "bigint"}, {"wallet", "gift_only_account", "bigint"}, {"wallet", "bonus_account", "bigint"}, {"wallet", "salt", "bytea"}, {"balance", "amount", "bigint"},
    {"balance", "version", "bigint"}, {"balance", "floored", "boolean"}, {"balance", "whole_coins", "boolean"}, {"balance", "spent", "bigint"}, {"balance", "spent_day", "int"}, {"head", "seq", "bigint"}, {"head", "tree_seq", "bigint"}, {"head", "tree_root", "bytea"}};

std::string changed(const column& c, int by) {
    const std::string n = c.name, type = c.type, number = std::to_string(by);
    if (type == "bigint" || type == "int") return "coalesce(" + n + ", 0) + " + number;
    if (type == "text") return n + " || 'x'";
    if (type == "uuid") return "gen_random_uuid()";
    if (type == "timestamptz") return n + " + interval '" + number + " microseconds'";
    if (type == "boolean") return "not " + n;
    if (type == "bytea") return "substr(sha256(" + n + "), 1, length(" + n + "))";
    if (type == "jsonb") return n + " || '{\"x\": " + number + "}'";
    return "case when cardinality(" + n + ") = 0 then array[" + number + "] else array[" + n + "[1] + " + number + "] || " + n + "[2:] end";
}

// Random edits of random rows, each found by `verify` and undone; where the row is an entry, its proof fails too.
void edits(int n) {
    const auto seed = std::random_device()();
    INFO("seed " << seed);
    std::mt19937 dice(seed);
    sealed_house h;
    REQUIRE(h.make_seal());
    h.queue.stop(std::chrono::seconds(5));
    h.db.as_owner("set client_min_messages = warning; do $$ declare c record; begin"
                  "  for c in select conname, conrelid::regclass as t from pg_constraint where connamespace = 'ledger'::regnamespace and conparentid = 0 and contype in ('f', 'c', 'u', 'p') loop"
                  "    execute format('alter table %s drop constraint if exists %I cascade', c.t, c.conname); end loop;"
                  "  for c in select indexrelid::regclass as t, '' as conname from pg_index i join pg_class k on k.oid = i.indrelid where k.relnamespace = 'ledger'::regnamespace and i.indisunique"
                  "      and not exists (select from pg_inherits x where x.inhrelid = i.indexrelid) loop execute format('drop index if exists %s', c.t); end loop; end $$;"
                  "create schema saved");
    for (const char* t : {"gift", "entry", "route", "split_rule", "account", "wallet", "balance", "head"}) h.db.as_owner(std::string("create table saved.") + t + " as table ledger." + t);
    const auto seals = std::vector<checkpoint>{*open_checkpoint(*h.folder.note(), h.signer.verifier())};
    REQUIRE(bad_ones(h.verified(seals)).empty());
    int unseen = 0;
    for (int i = 0; i < n; ++i) {
        const auto& c = columns[i < static_cast<int>(columns.size()) ? static_cast<std::size_t>(i) : dice() % columns.size()];
        // Of routes, rules and wallets: those that something was posted by.
        const std::string table = c.table;
        const std::string used = table == "route" ? "where id in (select route from ledger.gift)" : table == "split_rule" ? "where id in (select rule_id from ledger.route where id in (select route from ledger.gift))"
                                 : table == "wallet" ? "where user_id in (select payer from ledger.gift)" : "";
        const auto by = 1 + static_cast<int>(dice() % 1'000);
        h.tamper("update ledger." + table + " set " + c.name + " = " + changed(c, by) + " where ctid = (select ctid from ledger." + table + " " + used + " order by md5(ctid::text || '" + std::to_string(dice()) + "') limit 1)");
        const auto found = bad_ones(h.verified(seals));
        if (found.empty()) {
            ++unseen;
            UNSCOPED_INFO("not seen: " << c.table << "." << c.name << " by " << by);
        }
        h.tamper("delete from ledger." + table + "; insert into ledger." + table + " overriding system value select * from saved." + table);
    }
    CHECK(unseen == 0);
    CHECK(bad_ones(h.verified(seals)).empty());
}
}  // namespace

TEST_CASE("seal: every entry is proven, to somebody who has the proof and the key and nothing else") {
    sealed_house h;
    const auto first = h.make_seal();
    REQUIRE(first);
    h.gifts(300);
    const auto second = h.make_seal();
    REQUIRE(second);
    CHECK(second->size == first->size + 300);
    for (std::int64_t seq = 1; seq <= second->size; ++seq) {
        const auto text = h.proof_of(seq);
        REQUIRE(text);
        const auto said = check_proof(*text, h.signer.verifier());
        REQUIRE(said);
        CHECK(said->seq == seq);
        CHECK(said->at == *second);
    }
    CHECK(h.proof_of(0).error().field == "seq");
    CHECK(h.proof_of(second->size + 1).error().field == "seq");
    // The amounts are in it.
    const auto gift = h.db.number("select max(seq) from ledger.gift");
    const auto said = check_proof(*h.proof_of(gift), h.signer.verifier());
    const auto told = [&](std::string_view name) { return std::ranges::find(said->fields, name, [](const auto& f) { return f.first; })->second; };
    for (const char* name : {"payer", "price", "singer", "agent", "platform", "vat", "rights"}) CHECK(told(name) == std::to_string(h.db.number(std::string("select ") + name + " from ledger.gift where seq = " + std::to_string(gift))));
    const auto goes_on = prove_consistency(h.folder, h.signer.verifier(), first->size);
    REQUIRE(goes_on);
    CHECK(check_proof(*goes_on, h.signer.verifier()));
    // Another's key, a changed letter, cut short.
    CHECK_FALSE(check_proof(*goes_on, seal_signer::make("books.test").verifier()));
    const auto proof = *h.proof_of(7);
    for (std::size_t i = 0; i < proof.size(); i += 3) {
        auto other = proof;
        other[i] = other[i] == 'A' ? 'B' : 'A';
        const auto read = check_proof(other, h.signer.verifier());
        CHECK((!read || read->seq == 7));
        if (i + 4 < proof.size()) CHECK_FALSE(check_proof(proof.substr(0, i), h.signer.verifier()));
    }
    h.verify_clean();
}

TEST_CASE("seal: books that were rewritten with everything that belongs to them are found by whoever kept a checkpoint") {
    sealed_house h;
    const auto kept = h.make_seal();
    REQUIRE(kept);
    const auto proof = *h.proof_of(9);
    // Somebody gives the singer's part of a gift to the agent, and sets balances, tree and root right again.
    const auto seq = h.db.number("select min(seq) from ledger.gift where agent > 0");
    h.queue.stop(std::chrono::seconds(5));  // a running writer would put its head back
    h.tamper("update ledger.gift set payer = 3 where seq = " + std::to_string(seq) + "; update ledger.head set tree_seq = 0, tree_root = sha256(''); update ledger.tree_state set seq = 0, frontier = ''; select ledger.rebuild()");
    {
        metrics other;
        posting_queue next({h.db.app(), "next", "Asia/Shanghai", 20'000, 4'000}, h.clock, other);
        next.start();
        for (int i = 0; i < 500 && !next.is_writer(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        REQUIRE(h.wait(next.post(gift(4, h.route(default_rule(), 7, 9), 1)))->state == status::posted);
        next.stop(std::chrono::seconds(5));
    }
    CHECK(bad_ones(h.verified()).empty());  // in itself it is in order
    CHECK(bad_ones(h.verified({*kept})) == "seals ");
    CHECK(h.make_seal().error().reason == "books_changed");
    CHECK(h.proof_of(seq).error().reason == "not_sealed");
    CHECK(check_proof(proof, h.signer.verifier()));  // what was given out stays true
}

TEST_CASE("seal: a folder that was cut or books from an old backup are not sealed over") {
    sealed_house h;
    REQUIRE(h.make_seal());
    h.gifts(3);
    REQUIRE(h.make_seal());
    const auto size = open_checkpoint(*h.folder.note(), h.signer.verifier())->size;
    const auto tile = h.path / "tile" / "0" / "000.p" / std::to_string(size);
    REQUIRE(std::filesystem::exists(tile));
    std::filesystem::copy_file(tile, h.path / "kept");
    {
        std::FILE* f = std::fopen(tile.c_str(), "r+");
        std::fputc('x', f);
        std::fclose(f);
    }
    CHECK(seal_folder(h.path).tree(size).root() != open_checkpoint(*h.folder.note(), h.signer.verifier())->root);
    h.folder = seal_folder(h.path);
    CHECK(h.make_seal().error().reason == "seal_broken");
    std::filesystem::copy_file(h.path / "kept", tile, std::filesystem::copy_options::overwrite_existing);
    h.folder = seal_folder(h.path);
    h.queue.stop(std::chrono::seconds(5));
    h.tamper("update ledger.head set tree_seq = tree_seq - 2");
    const auto shorter = h.make_seal();
    REQUIRE_FALSE(shorter);
    CHECK(shorter.error().reason == "books_shorter");
}

TEST_CASE("seal: rewriting any stored row is found") { edits(static_cast<int>(columns.size()) + 60); }
TEST_CASE("seal: rewriting any stored row is found, a thousand times", "[.thousand]") { edits(1'000); }

TEST_CASE("ledger: rebuild counts every balance and day again, and says how many were wrong") {
    sealed_house h;
    const auto again = [&] { return h.db.number("select ledger.rebuild()"); };
    CHECK(again() == 0);
    h.verify_clean();
    h.tamper("update ledger.balance set amount = amount + 10000, version = 99 where account_id % 2 = 0");
    h.tamper("update ledger.balance set spent = spent + 10000 where account_id = (select wallet_account from ledger.wallet where user_id = 1)");
    const auto wrong = h.db.number("select count(*) from ledger.balance where version = 99 or account_id = (select wallet_account from ledger.wallet where user_id = 1)");
    CHECK(again() == wrong);
    h.verify_clean();
    CHECK_THROWS(h.db.as_app("select ledger.rebuild()"));
}
}  // namespace seal_test
