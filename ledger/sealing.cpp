#include "ledger/sealing.hpp"

#include <spdlog/fmt/fmt.h>

#include "ledger/internal/journal.hpp"
#include "ledger/sql.hpp"

namespace ovation::ledger {
awaitable<result<checkpoint>> seal(pg::connection& db, seal_folder& folder, seal_signer by) {
    checkpoint last{by.name, 0, merkle_tree().root()};
    if (const auto note = folder.note()) {
        OVATION_CO_TRY(last, open_checkpoint(*note, by.verifier()));
    }
    auto tree = folder.tree(last.size);
    if (tree.root() != last.root) co_return precondition("seal_broken", "The folder's tiles are not what its checkpoint signed. Take them from a copy; nothing was written.");
    OVATION_CO_CHECK(co_await db.query(begin_snapshot, {}, reading_patience));
    OVATION_CO_TRY(const auto head, co_await db.query(sql::head_and_tree, {}, reading_patience));
    const auto hashed = head.number(0, 2);
    if (hashed < last.size)
        co_return precondition("books_shorter", fmt::format("The books have {} entries and the last checkpoint {}: an old backup was restored. Nothing was written.", hashed, last.size));
    journal_reader journal(db);
    for (auto from = last.size + 1; from <= hashed; from += reading_page) {
        const auto to = std::min(from + reading_page, hashed + 1);
        OVATION_CO_TRY(auto rows, co_await journal.read(from, to));
        OVATION_CO_CHECK(co_await journal.load_for(rows));
        OVATION_CO_TRY(const auto leaves, journal.leaves(rows, from));
        for (const auto& l : leaves) tree.append(l);
        if (tree.size() != to - 1) co_return internal_fault(fmt::format("the journal ends at {} and not at {}; run ovation ledger verify", tree.size(), to - 1));
        folder.append(from - 1, leaves);
    }
    OVATION_CO_CHECK(co_await db.query(end_snapshot, {}, reading_patience));
    if (pg::bytes_of(head.text(0, 3)) != bytes_of(tree.root()))
        co_return precondition("books_changed", "The entries since the last checkpoint are not what was hashed when they were posted; run ovation ledger verify. Nothing was signed.");
    const checkpoint made{by.name, hashed, tree.root()};
    folder.publish(sign_checkpoint(made, by), hashed, by.verifier());
    co_return made;
}

awaitable<result<std::string>> prove_entry(pg::connection& db, const seal_folder& folder, seal_verifier key, std::int64_t seq) {
    OVATION_CO_TRY(const auto note, folder.note());
    OVATION_CO_TRY(const auto at, open_checkpoint(note, key));
    if (seq < 1 || seq > at.size) co_return invalid("seq", fmt::format("the newest checkpoint has the entries 1 to {}.", at.size));
    journal_reader journal(db);
    OVATION_CO_TRY(auto rows, co_await journal.read(seq, seq + 1));
    OVATION_CO_CHECK(co_await journal.load_for(rows));
    inclusion proof{{}, seq - 1, inclusion_proof(seq - 1, at.size, folder.source(at.size)), note};
    if (!rows.gifts.empty()) {
        const auto& g = rows.gifts.front();
        const auto* r = rows.routes.front();
        const auto* w = rows.wallets.front();
        if (r && w) proof.leaf = leaf_bytes(g, r->digest, w->salt);
    } else if (!rows.entries.empty()) {
        proof.leaf = leaf_bytes(rows.entries.front());
    }
    if (proof.leaf.empty() || !proves_inclusion(proof.path, leaf_hash(proof.leaf), proof.index, at.size, at.root))
        co_return precondition("not_sealed", fmt::format("Entry {} is NOT what was sealed: the books were changed. Run ovation ledger verify.", seq));
    co_return text_of(proof);
}

result<std::string> prove_consistency(const seal_folder& folder, const seal_verifier& key, std::int64_t old_size) {
    OVATION_CHECK_VALUE(note, folder.note());
    OVATION_CHECK_VALUE(at, open_checkpoint(note, key));
    for (const auto& old : folder.notes()) {
        OVATION_CHECK_VALUE(before, open_checkpoint(old, key));
        if (before.size == old_size) return text_of(consistency{old, consistency_proof(old_size, at.size, folder.source(at.size)), note});
    }
    return invalid("from", fmt::format("the folder has no checkpoint of {} entries.", old_size));
}

}  // namespace ovation::ledger
