#include "ledger/tree.hpp"

#include <openssl/sha.h>

#include <bit>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace ovation::ledger {

// By the low functions of OpenSSL, which its 3.0 calls deprecated: the general ones make and wipe a context each time, 80 ns of 190
// for a node, and each gift is two such hashes.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
tree_hash hash_of(std::initializer_list<std::string_view> pieces) {
    SHA256_CTX context;
    tree_hash out;
    bool good = SHA256_Init(&context) == 1;
    for (const auto& piece : pieces) good = good && SHA256_Update(&context, piece.data(), piece.size()) == 1;
    if (!good || SHA256_Final(out.data(), &context) != 1) throw std::runtime_error("OpenSSL computes no SHA-256");
    return out;
}
#pragma clang diagnostic pop
tree_hash leaf_hash(std::string_view leaf) { return hash_of({std::string_view("\0", 1), leaf}); }
tree_hash node_hash(const tree_hash& left, const tree_hash& right) { return hash_of({std::string_view("\1", 1), bytes_of(left), bytes_of(right)}); }

void merkle_tree::append(const tree_hash& leaf) {
    auto top = leaf;
    for (auto n = size_; (n & 1) != 0; n >>= 1) {
        top = node_hash(full_.back(), top);
        full_.pop_back();
    }
    full_.push_back(top);
    ++size_;
}

tree_hash merkle_tree::root() const {
    if (full_.empty()) return hash_of({});
    auto out = full_.back();
    for (auto left = full_.rbegin() + 1; left != full_.rend(); ++left) out = node_hash(*left, out);
    return out;
}

std::string merkle_tree::frontier() const {
    std::string out;
    for (const auto& h : full_) out.append(bytes_of(h));
    return out;
}

std::optional<merkle_tree> merkle_tree::from(std::int64_t size, std::string_view frontier) {
    merkle_tree out;
    if (size < 0 || frontier.size() != 32 * static_cast<std::size_t>(std::popcount(static_cast<std::uint64_t>(size)))) return std::nullopt;
    out.size_ = size;
    for (; !frontier.empty(); frontier.remove_prefix(32)) std::memcpy(out.full_.emplace_back().data(), frontier.data(), 32);
    return out;
}

namespace {
// The largest power of two below n, n > 1.
std::int64_t left_of(std::int64_t n) { return static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(n - 1))); }
void path(std::vector<tree_hash>& out, std::int64_t index, std::int64_t from, std::int64_t to, const subtree_source& hashes) {
    if (to - from <= 1) return;
    const auto middle = from + left_of(to - from);
    if (index < middle) {
        path(out, index, from, middle, hashes);
        out.push_back(hashes(middle, to));
    } else {
        path(out, index, middle, to, hashes);
        out.push_back(hashes(from, middle));
    }
}
void old_path(std::vector<tree_hash>& out, std::int64_t old_size, std::int64_t from, std::int64_t to, bool whole, const subtree_source& hashes) {
    if (old_size == to) {
        if (!whole) out.push_back(hashes(from, to));
        return;
    }
    const auto middle = from + left_of(to - from);
    if (old_size <= middle) {
        old_path(out, old_size, from, middle, whole, hashes);
        out.push_back(hashes(middle, to));
    } else {
        old_path(out, old_size, middle, to, false, hashes);
        out.push_back(hashes(from, middle));
    }
}
}  // namespace

std::vector<tree_hash> inclusion_proof(std::int64_t index, std::int64_t size, const subtree_source& hashes) {
    std::vector<tree_hash> out;
    if (index >= 0 && index < size) path(out, index, 0, size, hashes);
    return out;
}
std::vector<tree_hash> consistency_proof(std::int64_t old_size, std::int64_t size, const subtree_source& hashes) {
    std::vector<tree_hash> out;
    if (old_size > 0 && old_size < size) old_path(out, old_size, 0, size, true, hashes);
    return out;
}

bool proves_inclusion(const std::vector<tree_hash>& proof, const tree_hash& leaf, std::int64_t index, std::int64_t size, const tree_hash& root) {
    if (index < 0 || index >= size) return false;
    auto node = leaf;
    auto at = index, last = size - 1;
    for (const auto& p : proof) {
        if (last == 0) return false;
        if ((at & 1) != 0 || at == last) {
            node = node_hash(p, node);
            for (; (at & 1) == 0 && at != 0; at >>= 1) last >>= 1;
        } else {
            node = node_hash(node, p);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && node == root;
}

bool proves_consistency(const std::vector<tree_hash>& proof, std::int64_t old_size, const tree_hash& old_root, std::int64_t size, const tree_hash& root) {
    if (old_size < 0 || old_size > size) return false;
    if (old_size == size) return proof.empty() && old_root == root;
    if (old_size == 0) return proof.empty() && old_root == merkle_tree().root();
    auto steps = proof;
    if (std::has_single_bit(static_cast<std::uint64_t>(old_size))) steps.insert(steps.begin(), old_root);
    if (steps.empty()) return false;
    auto at = old_size - 1, last = size - 1;
    for (; (at & 1) != 0; at >>= 1) last >>= 1;
    auto before = steps.front(), after = steps.front();
    for (std::size_t i = 1; i < steps.size(); ++i) {
        if (last == 0) return false;
        if ((at & 1) != 0 || at == last) {
            before = node_hash(steps[i], before);
            after = node_hash(steps[i], after);
            for (; (at & 1) == 0 && at != 0; at >>= 1) last >>= 1;
        } else {
            after = node_hash(after, steps[i]);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && before == old_root && after == root;
}

}  // namespace ovation::ledger
