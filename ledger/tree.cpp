#include "ledger/tree.hpp"

#include <openssl/evp.h>

#include <bit>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace ovation::ledger {

tree_hash hash_of(std::initializer_list<std::string_view> pieces) {
    static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);  // kept for the life of the program
    thread_local const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    tree_hash out;
    bool good = EVP_DigestInit_ex2(context.get(), sha256, nullptr) == 1;
    for (const auto& piece : pieces) good = good && EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1;
    if (!good || EVP_DigestFinal_ex(context.get(), out.data(), nullptr) != 1) throw std::runtime_error("OpenSSL computes no SHA-256");
    return out;
}
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

}  // namespace ovation::ledger
