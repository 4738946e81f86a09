#include "ledger/internal/rows.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cstring>

#include <spdlog/fmt/fmt.h>

namespace ovation::ledger {
namespace {
constexpr char leaf_version = 1;

char* put(char* at, std::string_view bytes) { return std::copy(bytes.begin(), bytes.end(), at); }
template <class Number>
char* put(char* at, Number v) {  // big-endian
    const auto n = static_cast<std::uint64_t>(v) << 8 * (sizeof(std::uint64_t) - sizeof v);
    const auto turned = __builtin_bswap64(n);
    std::memcpy(at, &turned, sizeof v);
    return at + sizeof v;
}
template <class Number>
void big_endian(std::string& out, Number v) {
    std::array<char, sizeof v> bytes;
    put(bytes.data(), v);
    out.append(bytes.data(), bytes.size());
}
void text(std::string& out, std::string_view t) {
    big_endian(out, static_cast<std::int32_t>(t.size()));
    out.append(t);
}
std::string_view bytes_of(const leaf_salt& s) { return {reinterpret_cast<const char*>(s.data()), s.size()}; }
std::string_view bytes_of(const uuid& u) { return {reinterpret_cast<const char*>(u.bytes.data()), u.bytes.size()}; }

// The same text for what PostgreSQL took and for what it gives back: keys in order, no spaces.
void canonical(std::string& out, const boost::json::value& v) {
    if (const auto* o = v.if_object()) {
        std::vector<std::string_view> keys;
        for (const auto& member : *o) keys.push_back(member.key());
        std::ranges::sort(keys);
        out += '{';
        for (const auto key : keys) {
            if (out.back() != '{') out += ',';
            out += boost::json::serialize(key) + ':';
            canonical(out, o->at(key));
        }
        out += '}';
    } else if (const auto* a = v.if_array()) {
        out += '[';
        for (const auto& item : *a) {
            if (out.back() != '[') out += ',';
            canonical(out, item);
        }
        out += ']';
    } else {
        out += boost::json::serialize(v);
    }
}
}  // namespace

tree_hash digest_of(const route_text& r) {
    std::string out;
    text(out, r.rule.preset);
    text(out, r.rule.source);
    for (const std::int64_t v : {std::int64_t{r.rule.preset_version}, r.rule.source_id, std::int64_t{r.rule.gross}, std::int64_t{r.rule.vat_bp}, std::int64_t{r.rule.rights_bp},
                                 std::int64_t{r.rule.singer_bp}, std::int64_t{r.rule.agent_bp}, std::int64_t{r.rule.venue_bp}, std::int64_t{r.rule.platform_bp},
                                 std::int64_t{r.rule.bonus_singer_bp}, r.singer_user, r.channel})
        big_endian(out, v);
    for (const auto& name : r.accounts) text(out, name);
    return hash_of({out});
}

constexpr std::size_t gift_leaf_size = 2 + 16 + 8 + 16 + 17 * 8 + 32;
static std::array<char, gift_leaf_size> gift_leaf(const gift_row& g, const tree_hash& route, const leaf_salt& wallet) {
    std::array<char, gift_leaf_size> out;
    // One leaf shown does not open the wallet's others.
    std::array<char, 8> place;
    put(place.data(), g.seq);
    const auto salt = hash_of({bytes_of(wallet), std::string_view(place.data(), place.size())});
    char* at = out.data();
    *at++ = leaf_version;
    *at++ = 'g';
    at = put(at, bytes_of(salt).substr(0, 16));
    at = put(at, g.seq);
    at = put(at, bytes_of(g.key));
    for (const auto v : {g.at_us, g.payer, g.route, g.item, g.room, g.performance, g.price, g.bonus, g.gift_only, g.legs.vat, g.legs.rights, g.legs.singer, g.legs.agent, g.legs.venue,
                         g.legs.platform, g.legs.promo, std::int64_t{g.quantity}})
        at = put(at, v);
    put(at, bytes_of(route));
    return out;
}
std::string leaf_bytes(const gift_row& g, const tree_hash& route, const leaf_salt& wallet) {
    const auto bytes = gift_leaf(g, route, wallet);
    return {bytes.data(), bytes.size()};
}
tree_hash leaf_of(const gift_row& g, const tree_hash& route, const leaf_salt& wallet) {
    const auto bytes = gift_leaf(g, route, wallet);
    return leaf_hash({bytes.data(), bytes.size()});
}

std::string leaf_bytes(const entry_row& e) {
    std::string out;
    out += leaf_version;
    out += 'e';
    out.append(bytes_of(e.salt));
    big_endian(out, e.seq);
    big_endian(out, e.at_us);
    text(out, e.kind);
    text(out, e.key);
    text(out, e.reference);
    boost::system::error_code bad;
    const auto parsed = boost::json::parse(e.detail, bad);
    std::string detail;
    if (bad) detail = e.detail;
    else canonical(detail, parsed);
    text(out, detail);
    big_endian(out, static_cast<std::int32_t>(e.names.size()));
    for (std::size_t i = 0; i < e.names.size(); ++i) {
        text(out, e.names[i]);
        big_endian(out, e.amounts[i]);
    }
    return out;
}
tree_hash leaf_of(const entry_row& e) { return leaf_hash(leaf_bytes(e)); }

std::string copy_head() { return {"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19}; }
void copy_end(std::string& to) { to.append("\377\377", 2); }
void copy_row(std::string& to, const gift_row& g) {
    std::array<char, 2 + 17 * (4 + 8) + (4 + 16) + (4 + 4)> row;
    char* at = put(row.data(), std::int16_t{19});
    const auto column = [&](std::int64_t v) { at = put(put(at, std::int32_t{8}), v); };
    column(g.seq);
    at = put(put(at, std::int32_t{16}), bytes_of(g.key));
    column(g.at_us - postgres_epoch_us);
    for (const auto v : {g.payer, g.route, g.item, g.room, g.performance, g.price, g.bonus, g.gift_only, g.legs.vat, g.legs.rights, g.legs.singer, g.legs.agent, g.legs.venue, g.legs.platform,
                         g.legs.promo})
        column(v);
    put(put(at, std::int32_t{4}), g.quantity);
    to.append(row.data(), row.size());
}

std::string date_text(std::int64_t day) {
    const std::chrono::year_month_day d{std::chrono::sys_days{std::chrono::days{day}}};
    return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(d.year()), static_cast<unsigned>(d.month()), static_cast<unsigned>(d.day()));
}
void append_number(std::string& out, std::int64_t v) {
    char digits[24];
    if (out.size() > 1) out += ',';
    out.append(digits, std::to_chars(digits, digits + sizeof digits, v).ptr);
}

pg::params arrays_of(const std::vector<gift_row>& rows) {
    std::array<std::string, 18> arrays;
    arrays.fill("{");
    for (const auto& g : rows) {
        append_number(arrays[0], g.seq);
        if (arrays[1].size() > 1) arrays[1] += ',';
        arrays[1] += g.key.text();
        std::size_t i = 2;
        for (const auto v : {g.payer, g.route, g.item, g.room, g.performance, g.price, g.bonus, g.gift_only, g.legs.vat, g.legs.rights, g.legs.singer, g.legs.agent, g.legs.venue, g.legs.platform,
                             g.legs.promo, std::int64_t{g.quantity}})
            append_number(arrays[i++], v);
    }
    pg::params out;
    for (auto& a : arrays) out.add_raw(std::move(a) + "}");
    return out;
}

}  // namespace ovation::ledger
