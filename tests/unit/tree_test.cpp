// The Merkle tree of entries, its proofs, its seals.
#include "ledger/tree.hpp"

#include <unistd.h>

#include <filesystem>

#include "ledger/internal/key_filter.hpp"
#include "ledger/seal.hpp"
#include "tests/support/catch.hpp"

using namespace ovation;
using namespace ovation::ledger;

namespace {
std::string hex(const tree_hash& h) { return crypto::to_hex(h); }
// The definition of RFC 6962 section 2.1, word for word.
tree_hash root_by_definition(const std::vector<tree_hash>& leaves, std::size_t from, std::size_t to) {
    if (to - from == 0) return hash_of({});
    if (to - from == 1) return leaves[from];
    std::size_t k = 1;
    while (k * 2 < to - from) k *= 2;
    return node_hash(root_by_definition(leaves, from, from + k), root_by_definition(leaves, from + k, to));
}
std::vector<tree_hash> some_leaves(int n) {
    std::vector<tree_hash> out;
    for (int i = 0; i < n; ++i) out.push_back(leaf_hash(std::to_string(i)));
    return out;
}
struct folder {
    std::filesystem::path path = std::filesystem::temp_directory_path() / ("ovation-seal-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    ~folder() { std::filesystem::remove_all(path); }
    static inline int count = 0;
};
}  // namespace

TEST_CASE("tree: the roots of the eight well-known leaves of Certificate Transparency") {
    const std::vector<std::string> leaves{"", std::string(1, '\0'), "\x10", "\x20\x21", "\x30\x31", "\x40\x41\x42\x43", "\x50\x51\x52\x53\x54\x55\x56\x57",
                                          "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"};
    const std::vector<std::string> roots{"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    merkle_tree t;
    CHECK(hex(t.root()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (std::size_t i = 0; i < leaves.size(); ++i) {
        t.append(leaf_hash(leaves[i]));
        CHECK(hex(t.root()) == roots[i]);
    }
}

TEST_CASE("tree: grown leaf by leaf, cut and taken up again, it is the tree of the definition") {
    const auto leaves = some_leaves(300);
    merkle_tree t;
    for (std::size_t n = 0; n <= leaves.size(); ++n) {
        CHECK(t.root() == root_by_definition(leaves, 0, n));
        const auto again = merkle_tree::from(t.size(), t.frontier());
        REQUIRE(again);
        CHECK(again->root() == t.root());
        t = *again;
        if (n < leaves.size()) t.append(leaves[n]);
    }
    CHECK_FALSE(merkle_tree::from(3, std::string(32, 'x')));
    CHECK_FALSE(merkle_tree::from(-1, ""));
}

TEST_CASE("tree: each leaf of each size is proven, and nothing else is") {
    const auto leaves = some_leaves(70);
    const subtree_source hashes = [&](std::int64_t from, std::int64_t to) { return root_by_definition(leaves, static_cast<std::size_t>(from), static_cast<std::size_t>(to)); };
    for (std::int64_t size = 1; size <= 70; ++size) {
        const auto root = hashes(0, size);
        for (std::int64_t i = 0; i < size; ++i) {
            auto proof = inclusion_proof(i, size, hashes);
            const auto& leaf = leaves[static_cast<std::size_t>(i)];
            REQUIRE(proves_inclusion(proof, leaf, i, size, root));
            CHECK_FALSE(proves_inclusion(proof, leaves[static_cast<std::size_t>((i + 1) % 70)], i, size, root));
            if (size > 1) CHECK_FALSE(proves_inclusion(proof, leaf, (i + 1) % size, size, root));
            CHECK_FALSE(proves_inclusion(proof, leaf, size, size, root));
            for (auto& step : proof) {
                step[0] ^= 1;
                CHECK_FALSE(proves_inclusion(proof, leaf, i, size, root));
                step[0] ^= 1;
            }
            proof.push_back(leaf);
            CHECK_FALSE(proves_inclusion(proof, leaf, i, size, root));
        }
        for (std::int64_t old = 0; old <= size; ++old) {
            auto proof = consistency_proof(old, size, hashes);
            const auto before = hashes(0, old);
            REQUIRE(proves_consistency(proof, old, before, size, root));
            if (old > 0 && old < size) {
                CHECK_FALSE(proves_consistency(proof, old, leaves[69], size, root));
                CHECK_FALSE(proves_consistency(proof, old, before, size, leaves[69]));
                CHECK_FALSE(proves_consistency({}, old, before, size, root));
            }
        }
    }
}

TEST_CASE("seal: keys and signatures are those of other programs' signed notes") {
    // The example of golang.org/x/mod/sumdb/note.
    const auto key = seal_verifier::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    const auto signer = seal_signer::parse("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n");
    REQUIRE(key);
    REQUIRE(signer);
    CHECK(signer->verifier().text() == key->text());
    const std::string text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    CHECK(crypto::base64(key->id() + crypto::ed25519_sign(signer->seed, text)) == "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=");
    for (const char* wrong : {"", "PeterNeumann", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "+c74f20a3+ARpc", "PeterNeumann+c74f20a3+!"}) CHECK_FALSE(seal_verifier::parse(wrong));
    CHECK_FALSE(seal_signer::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"));
}

TEST_CASE("seal: a checkpoint opens for its signer alone, and only unchanged") {
    const auto signer = seal_signer::make("books.example");
    const checkpoint c{"books.example", 12'345, leaf_hash("x")};
    const auto note = sign_checkpoint(c, signer);
    CHECK(*open_checkpoint(note, signer.verifier()) == c);
    CHECK(*open_checkpoint(note + "\xE2\x80\x94 witness.example AAAAAAAA\n", signer.verifier()) == c);
    CHECK_FALSE(open_checkpoint(note, seal_signer::make("books.example").verifier()));
    for (std::size_t i = 0; i < note.size(); ++i) {
        auto other = note;
        other[i] = static_cast<char>(other[i] ^ 1);
        const auto opened = open_checkpoint(other, signer.verifier());
        CHECK((!opened || *opened == c));  // a changed end of the base64 may still say the same bytes
    }
}

TEST_CASE("seal: tiles give the roots and proofs of every size, over the edges of tiles") {
    folder f;
    seal_folder tiles(f.path);
    const auto leaves = some_leaves(66'100);
    merkle_tree t;
    std::int64_t size = 0;
    for (const std::int64_t step : {1, 1, 253, 1, 1, 255, 512, 3'000, 61'512, 564}) {
        tiles.append(size, {leaves.begin() + size, leaves.begin() + size + step});
        for (; t.size() < size + step;) t.append(leaves[static_cast<std::size_t>(t.size())]);
        size += step;
        CHECK(tiles.tree(size).root() == t.root());
        for (const auto i : {std::int64_t{0}, size / 2, size - 1}) CHECK(proves_inclusion(inclusion_proof(i, size, tiles.source(size)), leaves[static_cast<std::size_t>(i)], i, size, t.root()));
    }
    CHECK(size == 66'100);
    CHECK(std::filesystem::exists(f.path / "tile" / "0" / "000"));
    CHECK(std::filesystem::file_size(f.path / "tile" / "1" / "000") == 8'192);
    CHECK(std::filesystem::exists(f.path / "tile" / "2" / "000.p" / "1"));
    CHECK_FALSE(seal_folder(f.path / "none").note());
}

TEST_CASE("a key filter knows what it was given, and seldom anything else") {
    key_filter f(100'000);
    for (int i = 0; i < 100'000; ++i) f.add(uuid::make_v7(1'700'000'000'000 + i / 50));
    std::vector<uuid> known;
    for (int i = 0; i < 1'000; ++i) {
        known.push_back(uuid::make_v7(1'700'000'000'000 + i));
        f.add(known.back());
    }
    for (const auto& k : known) CHECK(f.maybe(k));
    int strange = 0;
    for (int i = 0; i < 200'000; ++i) strange += f.maybe(uuid::make_v7(1'700'000'000'000 + i / 100));
    CHECK(strange < 400);  // 1 in 5 000 is expected to be 40
}
