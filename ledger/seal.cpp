#include "ledger/seal.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <unistd.h>

namespace ovation::ledger {
namespace fs = std::filesystem;
namespace {
constexpr int tile_hashes = 256;
constexpr std::string_view proof_head = "c2sp.org/tlog-proof@v1", consistency_head = "ovation/consistency@v1";
const std::string dash = "\xE2\x80\x94 ";  // the em dash before a signature

template <std::size_t N>
std::string_view view(const std::array<std::uint8_t, N>& a) {
    return {reinterpret_cast<const char*>(a.data()), N};
}
std::string key_id(const std::string& name, const crypto::ed25519_public& key) {
    const auto h = hash_of({name, "\n\x01", view(key)});
    return {reinterpret_cast<const char*>(h.data()), 4};
}
std::string hex(std::string_view bytes) { return crypto::to_hex({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}); }

// name, id, key of "name+id+key".
std::optional<std::array<std::string, 3>> parts_of(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    const auto first = text.find('+');
    const auto second = first == text.npos ? text.npos : text.find('+', first + 1);
    if (second == text.npos || first == 0) return std::nullopt;
    auto key = crypto::from_base64(text.substr(second + 1));
    if (!key || key->size() != 33 || (*key)[0] != 1) return std::nullopt;
    return std::array<std::string, 3>{std::string(text.substr(0, first)), std::string(text.substr(first + 1, second - first - 1)), key->substr(1)};
}
std::optional<std::int64_t> whole_number(std::string_view t) {
    std::int64_t out = 0;
    const auto [end, bad] = std::from_chars(t.data(), t.data() + t.size(), out);
    if (bad != std::errc{} || end != t.data() + t.size() || out < 0 || (t.size() > 1 && t[0] == '0')) return std::nullopt;
    return out;
}
std::optional<tree_hash> hash_from(std::string_view base64) {
    const auto bytes = crypto::from_base64(base64);
    if (!bytes || bytes->size() != 32) return std::nullopt;
    tree_hash out;
    std::memcpy(out.data(), bytes->data(), 32);
    return out;
}
// The next line without its end; `rest` goes on behind it.
std::string_view line_of(std::string_view& rest) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto out = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return out;
}
fault not_a(std::string_view field, std::string_view what) { return invalid(field, what); }

std::string read_file(const fs::path& p) {
    std::ifstream in(p, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    if (!in) throw std::runtime_error(fmt::format("{} cannot be read.", p.string()));
    return out.str();
}
// Whole on the disk, or not there.
void write_file(const fs::path& p, std::string_view bytes) {
    fs::create_directories(p.parent_path());
    const auto temporary = p.string() + ".new";
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = fd >= 0 && ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) && ::fsync(fd) == 0;
    if (fd >= 0) good = ::close(fd) == 0 && good;
    if (!good || ::rename(temporary.c_str(), p.c_str()) != 0) throw std::runtime_error(fmt::format("{} cannot be written: {}.", p.string(), std::strerror(errno)));
}
std::string tile_name(int level, std::int64_t n, int width) {
    auto path = fmt::format("{:03}", n % 1000);
    for (n /= 1000; n > 0; n /= 1000) path = fmt::format("x{:03}/", n % 1000) + path;
    return fmt::format("tile/{}/{}{}", level, path, width == tile_hashes ? "" : fmt::format(".p/{}", width));
}
tree_hash root_of(std::string_view hashes) {  // of whole hashes, one after the other
    merkle_tree t;
    for (; !hashes.empty(); hashes.remove_prefix(32)) {
        tree_hash h;
        std::memcpy(h.data(), hashes.data(), 32);
        t.append(h);
    }
    return t.root();
}
}  // namespace

result<seal_verifier> seal_verifier::parse(std::string_view text) {
    const auto p = parts_of(text);
    seal_verifier out;
    if (p) {
        out.name = (*p)[0];
        std::memcpy(out.key.data(), (*p)[2].data(), 32);
    }
    if (!p || hex(out.id()) != (*p)[1]) return not_a("key", "a verifier key looks like name+0123abcd+AX…: one that ovation ledger seal printed.");
    return out;
}
std::string seal_verifier::id() const { return key_id(name, key); }
std::string seal_verifier::text() const { return fmt::format("{}+{}+{}", name, hex(id()), crypto::base64("\x01" + std::string(view(key)))); }

result<seal_signer> seal_signer::parse(std::string_view text) {
    constexpr std::string_view head = "PRIVATE+KEY+";
    const auto p = text.starts_with(head) ? parts_of(text.substr(head.size())) : std::nullopt;
    seal_signer out;
    if (p) {
        out.name = (*p)[0];
        std::memcpy(out.seed.data(), (*p)[2].data(), 32);
    }
    if (!p || hex(out.verifier().id()) != (*p)[1]) return not_a("key", "a signer key looks like PRIVATE+KEY+name+0123abcd+AX…; ovation ledger seal makes one where the file is missing.");
    return out;
}
seal_signer seal_signer::make(std::string name) {
    seal_signer out;
    out.name = std::move(name);
    crypto::random_bytes(out.seed);
    return out;
}
seal_verifier seal_signer::verifier() const { return {name, crypto::ed25519_public_of(seed)}; }
std::string seal_signer::text() const { return fmt::format("PRIVATE+KEY+{}+{}+{}", name, hex(verifier().id()), crypto::base64("\x01" + std::string(view(seed)))); }

std::string sign_note(const std::string& body, const seal_signer& by) {
    return body + "\n" + dash + by.name + " " + crypto::base64(by.verifier().id() + crypto::ed25519_sign(by.seed, body)) + "\n";
}
std::string sign_checkpoint(const checkpoint& c, const seal_signer& by) {
    return sign_note(fmt::format("{}\n{}\n{}\n", c.origin, c.size, crypto::base64(bytes_of(c.root))), by);
}
result<std::string_view> open_note(std::string_view note, const seal_verifier& key) {
    const auto split = note.find("\n\n");
    if (split == note.npos) return not_a("note", "a signed note is a text, an empty line, and signatures.");
    const auto body = note.substr(0, split + 1);
    bool signed_by_key = false;
    for (auto rest = note.substr(split + 2); !rest.empty();) {
        auto line = line_of(rest);
        if (!line.starts_with(dash)) return not_a("note", "a line among the signatures is none.");
        line.remove_prefix(dash.size());
        const auto space = line.find(' ');
        if (space == line.npos || line.substr(0, space) != key.name) continue;
        const auto bytes = crypto::from_base64(line.substr(space + 1));
        if (bytes && bytes->size() == 68 && bytes->substr(0, 4) == key.id()) signed_by_key = signed_by_key || crypto::ed25519_verify(key.key, body, bytes->substr(4));
    }
    if (!signed_by_key) return denied("bad_signature", fmt::format("The note is not signed by {}.", key.name));
    return body;
}
result<checkpoint> open_checkpoint(std::string_view note, const seal_verifier& key) {
    OVATION_CHECK_VALUE(rest, open_note(note, key));
    checkpoint out;
    out.origin = line_of(rest);
    const auto size = whole_number(line_of(rest));
    const auto root = hash_from(line_of(rest));
    if (out.origin.empty() || !size || !root) return not_a("checkpoint", "its three lines are the origin, the number of entries, and the root.");
    out.size = *size;
    out.root = *root;
    return out;
}

result<std::string> seal_folder::note() const {
    if (!fs::exists(folder_ / "checkpoint")) return not_found("A checkpoint in this folder");
    return read_file(folder_ / "checkpoint");
}
result<seal_verifier> seal_folder::verifier() const {
    if (!fs::exists(folder_ / "verifier")) return not_found("A verifier in this folder");
    auto text = read_file(folder_ / "verifier");
    while (text.ends_with('\n')) text.pop_back();
    return seal_verifier::parse(text);
}
std::vector<std::string> seal_folder::notes() const {
    std::map<std::int64_t, std::string> by_size;
    if (fs::exists(folder_ / "checkpoints"))
        for (const auto& f : fs::directory_iterator(folder_ / "checkpoints"))
            if (const auto size = whole_number(f.path().filename().string())) by_size[*size] = read_file(f.path());
    std::vector<std::string> out;
    for (auto& [size, text] : by_size) out.push_back(std::move(text));
    return out;
}

const std::string& seal_folder::tile(int level, std::int64_t n, int width) const {
    const auto name = tile_name(level, n, width);
    const auto known = read_.find(name);
    if (known != read_.end()) return known->second;
    // A tile that is full by now holds what the part held.
    const auto whole = folder_ / tile_name(level, n, tile_hashes);
    auto bytes = read_file(fs::exists(whole) ? whole : folder_ / name);
    if (bytes.size() < 32 * static_cast<std::size_t>(width)) throw std::runtime_error(fmt::format("{} is cut short.", (folder_ / name).string()));
    bytes.resize(32 * static_cast<std::size_t>(width));
    return read_.emplace(name, std::move(bytes)).first->second;
}

tree_hash seal_folder::subtree(std::int64_t from, std::int64_t to, std::int64_t size) const {
    // A power of two that fits into one tile of some level, or two halves.
    const auto count = to - from;
    if (std::has_single_bit(static_cast<std::uint64_t>(count)) && from % count == 0) {
        const int bits = std::countr_zero(static_cast<std::uint64_t>(count));
        const int level = bits / 8;
        const auto unit = std::int64_t{1} << 8 * level;          // leaves under one hash of the tile
        const auto first = from / unit, hashes = count / unit;   // in hashes of the level
        const auto n = first / tile_hashes, at = first % tile_hashes;
        const auto width = static_cast<int>(std::min<std::int64_t>(tile_hashes, size / unit - n * tile_hashes));
        const auto& bytes = tile(level, n, width);
        return root_of(std::string_view(bytes).substr(static_cast<std::size_t>(at) * 32, static_cast<std::size_t>(hashes) * 32));
    }
    const auto left = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(count - 1)));
    return node_hash(subtree(from, from + left, size), subtree(from + left, to, size));
}
subtree_source seal_folder::source(std::int64_t size) const {
    return [this, size](std::int64_t from, std::int64_t to) { return subtree(from, to, size); };
}
merkle_tree seal_folder::tree(std::int64_t size) const {
    std::string frontier;
    for (std::int64_t at = 0, bit = std::int64_t{1} << 62; bit > 0; bit >>= 1)
        if ((size & bit) != 0) {
            frontier += bytes_of(subtree(at, at + bit, size));
            at += bit;
        }
    return merkle_tree::from(size, frontier).value();
}

void seal_folder::append(std::int64_t size, const std::vector<tree_hash>& leaves) {
    std::vector<tree_hash> hashes = leaves;  // of the level
    auto before = size;
    for (int level = 0; !hashes.empty(); ++level) {
        auto n = before / tile_hashes;
        std::string open = before % tile_hashes == 0 ? "" : tile(level, n, static_cast<int>(before % tile_hashes));
        std::vector<tree_hash> above;
        for (const auto& h : hashes) {
            open += bytes_of(h);
            if (open.size() < 32 * tile_hashes) continue;
            write_file(folder_ / tile_name(level, n, tile_hashes), open);
            above.push_back(root_of(open));
            open.clear();
            ++n;
        }
        if (!open.empty()) write_file(folder_ / tile_name(level, n, static_cast<int>(open.size() / 32)), open);
        hashes = std::move(above);
        before /= tile_hashes;
    }
    read_.clear();
}
void seal_folder::publish(const std::string& note, std::int64_t size, const seal_verifier& by) {
    if (const auto line = by.text() + "\n"; !fs::exists(folder_ / "verifier") || read_file(folder_ / "verifier") != line) write_file(folder_ / "verifier", line);
    write_file(folder_ / "checkpoints" / std::to_string(size), note);
    write_file(folder_ / "checkpoint", note);
}

std::string text_of(const inclusion& p) {
    auto out = fmt::format("{}\nextra {}\nindex {}\n", proof_head, crypto::base64(p.leaf), p.index);
    for (const auto& h : p.path) out += crypto::base64(bytes_of(h)) + "\n";
    return out + "\n" + p.note;
}
std::string text_of(const consistency& p) {
    auto out = fmt::format("{}\nold {}\n", consistency_head, crypto::base64(p.old_note));
    for (const auto& h : p.path) out += crypto::base64(bytes_of(h)) + "\n";
    return out + "\n" + p.note;
}

result<proven> check_proof(std::string_view text, const seal_verifier& key) {
    const auto whole = text;
    const auto head = line_of(text);
    if (head != proof_head && head != consistency_head) return not_a("proof", "this is no proof of ovation ledger prove.");
    const auto end = whole.find("\n\n");
    if (end == whole.npos) return not_a("proof", "the checkpoint is missing.");
    OVATION_CHECK_VALUE(at, open_checkpoint(whole.substr(end + 2), key));
    text = whole.substr(head.size() + 1, end + 1 - head.size() - 1);
    proven out{at, 0, {}};
    const auto field = [&](std::string_view name) -> std::optional<std::string> {
        const auto line = line_of(text);
        if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ' ') return std::nullopt;
        return std::string(line.substr(name.size() + 1));
    };
    const auto path = [&]() -> std::optional<std::vector<tree_hash>> {
        std::vector<tree_hash> hashes;
        while (!text.empty()) {
            const auto h = hash_from(line_of(text));
            if (!h || hashes.size() > 200) return std::nullopt;
            hashes.push_back(*h);
        }
        return hashes;
    };
    if (head == proof_head) {
        const auto extra = field("extra"), index = field("index");
        const auto leaf = extra ? crypto::from_base64(*extra) : std::nullopt;
        const auto place = index ? whole_number(*index) : std::nullopt;
        const auto steps = path();
        if (!leaf || !place || !steps) return not_a("proof", "its lines are extra, index, and hashes.");
        if (!proves_inclusion(*steps, leaf_hash(*leaf), *place, at.size, at.root)) return denied("not_proven", fmt::format("This entry is NOT among the {} of the checkpoint.", at.size));
        OVATION_CHECK_VALUE(fields, fields_of_leaf(*leaf));
        out.seq = *place + 1;
        out.fields = std::move(fields);
        const auto told = std::ranges::find(out.fields, "seq", [](const auto& f) { return f.first; });
        if (told == out.fields.end() || told->second != std::to_string(out.seq)) return denied("not_proven", "The entry stands in another place than it says.");
    } else {
        const auto old = field("old");
        const auto note = old ? crypto::from_base64(*old) : std::nullopt;
        const auto steps = path();
        if (!note || !steps) return not_a("proof", "its lines are old and hashes.");
        OVATION_CHECK_VALUE(before, open_checkpoint(*note, key));
        if (before.origin != at.origin || !proves_consistency(*steps, before.size, before.root, at.size, at.root))
            return denied("not_proven", fmt::format("The books of {} entries do NOT go on from those of {}.", at.size, before.size));
        out.fields.emplace_back("old_size", std::to_string(before.size));
    }
    return out;
}

result<std::vector<std::pair<std::string, std::string>>> fields_of_leaf(std::string_view leaf) {
    std::vector<std::pair<std::string, std::string>> out;
    bool broken = leaf.size() < 18 || leaf[0] != 1 || (leaf[1] != 'g' && leaf[1] != 'e');
    const auto take = [&](std::size_t n) {
        if (leaf.size() < n) broken = true;
        const auto part = leaf.substr(0, n);
        leaf.remove_prefix(std::min(n, leaf.size()));
        return part;
    };
    const auto number = [&](std::size_t bytes) {
        std::uint64_t v = 0;
        for (const char c : take(bytes)) v = v << 8 | static_cast<std::uint8_t>(c);
        return bytes == 4 ? static_cast<std::int64_t>(static_cast<std::int32_t>(v)) : static_cast<std::int64_t>(v);
    };
    const auto text = [&] { return std::string(take(static_cast<std::size_t>(std::max<std::int64_t>(number(4), 0)))); };
    const bool gift = !broken && leaf[1] == 'g';
    take(18);
    if (gift) {
        out.emplace_back("kind", "gift");
        out.emplace_back("seq", std::to_string(number(8)));
        const auto key = hex(take(16));
        if (key.size() == 32) out.emplace_back("key", fmt::format("{}-{}-{}-{}-{}", key.substr(0, 8), key.substr(8, 4), key.substr(12, 4), key.substr(16, 4), key.substr(20)));
        for (const auto* name : {"at_us", "payer", "route", "item", "room", "performance", "price", "bonus", "gift_only", "vat", "rights", "singer", "agent", "venue", "platform", "promo", "quantity"})
            out.emplace_back(name, std::to_string(number(8)));
        out.emplace_back("route_digest", hex(take(32)));
    } else if (!broken) {
        const auto seq = number(8), at = number(8);
        out.emplace_back("kind", text());
        out.emplace_back("seq", std::to_string(seq));
        out.emplace_back("at_us", std::to_string(at));
        for (const auto* name : {"key", "reference", "detail"}) out.emplace_back(name, text());
        for (auto n = number(4); n > 0 && !broken; --n) {
            auto name = text();
            const auto amount = number(8);
            out.emplace_back(std::move(name), std::to_string(amount));
        }
    }
    if (broken || !leaf.empty()) return not_a("proof", "the entry in it cannot be read.");
    return out;
}

}  // namespace ovation::ledger
