// From the books to seals and back: what `ovation ledger seal|prove` do (ledger/seal.hpp has the formats).
#pragma once
#include "base/cores.hpp"
#include "ledger/seal.hpp"

namespace ovation::ledger {

// Adds what was posted since the newest checkpoint of the folder and signs a new one. Refuses, and publishes nothing, when the
// folder's tiles are not what was signed, when the books are shorter than that, or when they are not what was hashed at posting.
awaitable<result<checkpoint>> seal(pg::connection& db, seal_folder& folder, seal_signer by);
// A proof that entry `seq` is in the newest checkpoint. Refuses when the row is not what was sealed.
awaitable<result<std::string>> prove_entry(pg::connection& db, const seal_folder& folder, seal_verifier key, std::int64_t seq);
// A proof that the newest checkpoint goes on from the one of `old_size`. Needs no database.
result<std::string> prove_consistency(const seal_folder& folder, const seal_verifier& key, std::int64_t old_size);

}  // namespace ovation::ledger
