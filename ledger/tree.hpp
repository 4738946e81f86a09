// The Merkle tree over the journal, as RFC 6962 section 2.1 defines it: leaf n is entry n + 1, so an entry's number is its place.
// Its root after every commit stands in ledger.head and commits to each entry before it.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.hpp"

namespace ovation::ledger {

using tree_hash = crypto::sha256_digest;

// SHA-256 of the pieces one after the other. Quicker than one call a message: the context is kept.
tree_hash hash_of(std::initializer_list<std::string_view> pieces);
tree_hash leaf_hash(std::string_view leaf);  // SHA-256(0x00 || leaf)
tree_hash node_hash(const tree_hash& left, const tree_hash& right);  // SHA-256(0x01 || left || right)
inline std::string_view bytes_of(const tree_hash& h) { return {reinterpret_cast<const char*>(h.data()), h.size()}; }

// The right edge of the tree: enough to append, and to name the root.
class merkle_tree {
public:
    void append(const tree_hash& leaf);
    [[nodiscard]] std::int64_t size() const { return size_; }
    [[nodiscard]] tree_hash root() const;
    [[nodiscard]] std::string frontier() const;  // 32 bytes for each full subtree, largest first
    static std::optional<merkle_tree> from(std::int64_t size, std::string_view frontier);

private:
    std::int64_t size_ = 0;
    std::vector<tree_hash> full_;  // largest first; as many as size_ has ones
};

// Root over the leaves [from, to) of a tree; asked only for ranges that RFC 6962 makes subtrees of.
using subtree_source = std::function<tree_hash(std::int64_t from, std::int64_t to)>;
// RFC 6962 sections 2.1.1 and 2.1.2, hashes from the leaf upwards.
std::vector<tree_hash> inclusion_proof(std::int64_t index, std::int64_t size, const subtree_source& hashes);
std::vector<tree_hash> consistency_proof(std::int64_t old_size, std::int64_t size, const subtree_source& hashes);
// RFC 9162 sections 2.1.3.2 and 2.1.4.2.
bool proves_inclusion(const std::vector<tree_hash>& proof, const tree_hash& leaf, std::int64_t index, std::int64_t size, const tree_hash& root);
bool proves_consistency(const std::vector<tree_hash>& proof, std::int64_t old_size, const tree_hash& old_root, std::int64_t size, const tree_hash& root);

}  // namespace ovation::ledger
