// Seals: signed checkpoints of the tree of entries, kept outside the database, and proofs by them that need no server.
// A folder of seals is a C2SP tlog-tiles log: `checkpoint` (the newest, a signed note), `checkpoints/<size>` (each that was ever
// made), `verifier` (whose signature counts), `tile/<level>/<n>` (hashes). Formats: c2sp.org/signed-note, tlog-checkpoint, tlog-tiles, tlog-proof.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/fault.hpp"
#include "ledger/tree.hpp"

namespace ovation::ledger {

// "<name>+<8 hex digits>+<base64 of 0x01 and the key>": what a holder of proofs needs.
struct seal_verifier {
    std::string name;
    crypto::ed25519_public key{};
    static result<seal_verifier> parse(std::string_view text);
    [[nodiscard]] std::string text() const;
    [[nodiscard]] std::string id() const;  // 4 bytes
};
// "PRIVATE+KEY+<name>+<8 hex digits>+<base64 of 0x01 and the seed>"
struct seal_signer {
    std::string name;
    crypto::ed25519_seed seed{};
    static result<seal_signer> parse(std::string_view text);
    static seal_signer make(std::string name);
    [[nodiscard]] std::string text() const;
    [[nodiscard]] seal_verifier verifier() const;
};

struct checkpoint {
    std::string origin;
    std::int64_t size = 0;
    tree_hash root{};
    bool operator==(const checkpoint&) const = default;
};
// A text whose lines all end, an empty line, the signature; and its text again, when the signature by `key` holds.
std::string sign_note(const std::string& body, const seal_signer& by);
result<std::string_view> open_note(std::string_view note, const seal_verifier& key);
std::string sign_checkpoint(const checkpoint& c, const seal_signer& by);
// A note whose signature by `key` holds; others' signatures are left alone.
result<checkpoint> open_checkpoint(std::string_view note, const seal_verifier& key);

// The tiles of a log in a folder. Writing: the files of new hashes first, the checkpoint last; nothing that was written is changed.
class seal_folder {
public:
    explicit seal_folder(std::filesystem::path folder) : folder_(std::move(folder)) {}
    [[nodiscard]] result<std::string> note() const;  // of the newest checkpoint; not_found: nothing was sealed yet
    [[nodiscard]] result<seal_verifier> verifier() const;  // whose signature counts here; not_found likewise
    [[nodiscard]] std::vector<std::string> notes() const;  // all of them, by size
    // Appends leaves behind the first `size` ones; throws std::runtime_error when the disk does not take it.
    void append(std::int64_t size, const std::vector<tree_hash>& leaves);
    void publish(const std::string& note, std::int64_t size, const seal_verifier& by);
    // Root over [from, to), from the tiles of a log of `size` leaves; throws std::runtime_error when a tile is missing.
    [[nodiscard]] tree_hash subtree(std::int64_t from, std::int64_t to, std::int64_t size) const;
    [[nodiscard]] subtree_source source(std::int64_t size) const;
    // The right edge, to go on from.
    [[nodiscard]] merkle_tree tree(std::int64_t size) const;

private:
    [[nodiscard]] const std::string& tile(int level, std::int64_t n, int width) const;
    std::filesystem::path folder_;
    mutable std::map<std::string, std::string> read_;
};

// A proof that stands alone: the leaf's bytes, its place, its path, the checkpoint (c2sp.org/tlog-proof, the leaf as `extra`).
struct inclusion {
    std::string leaf;
    std::int64_t index = 0;
    std::vector<tree_hash> path;
    std::string note;
};
std::string text_of(const inclusion& proof);
// That one checkpoint goes on from another: "ovation/consistency@v1", the older note, the hashes, the newer note.
struct consistency {
    std::string old_note;
    std::vector<tree_hash> path;
    std::string note;
};
std::string text_of(const consistency& proof);

// What a proof says when it holds: the checkpoint, and for an entry its number and fields, a line each.
struct proven {
    checkpoint at;
    std::int64_t seq = 0;
    std::vector<std::pair<std::string, std::string>> fields;
};
result<proven> check_proof(std::string_view text, const seal_verifier& key);
// The same for a leaf's bytes alone (docs/formats.md, "The tree of entries").
result<std::vector<std::pair<std::string, std::string>>> fields_of_leaf(std::string_view leaf);

}  // namespace ovation::ledger
