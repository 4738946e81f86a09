#include "ledger/internal/resident_writer.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstring>

#include "base/log.hpp"
#include "ledger/sql.hpp"

namespace ovation::ledger {
namespace {
constexpr std::int64_t day_ms = 86'400'000;
constexpr std::size_t rows_together = 32;
constexpr std::size_t rows_when_idle = 1'000;

std::int64_t steady_us() { return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
}  // namespace

awaitable<result<void>> resident_writer::begin(pg::connection& db, std::int64_t epoch) {
    books_.clear();
    open_.reset();
    sealed_.reset();
    behind_ = {};
    saving_ = false;
    ++generation_;
    epoch_ = epoch;
    OVATION_CO_CHECK(co_await db.query(sql::catch_up, pg::with(epoch), statement_patience));
    leaves_.clear();
    tend_soon_ = true;
    OVATION_CO_CHECK(co_await read_clock(db));
    OVATION_CO_TRY(const auto version, co_await db.query(sql::limits_version, {}, statement_patience));
    limits_ = version.number(0, 0);
    OVATION_CO_TRY(const auto state, co_await db.query(sql::tree_state, {}, statement_patience));
    seq_ = saved_up_to_ = checkpoint_seq_ = state.number(0, 1);
    OVATION_CO_CHECK(co_await read_leaves(db));
    auto tree = merkle_tree::from(state.number(0, 2), pg::bytes_of(state.text(0, 3)));
    if (!tree) tree = merkle_tree();
    frontier_seq_ = tree->size();
    const auto told = state.number(0, 0);
    journal_reader journal(db);
    for (auto from = tree->size() + 1; from <= seq_; from += reading_page) {
        const auto to = std::min(from + reading_page, seq_ + 1);
        OVATION_CO_TRY(auto rows, co_await journal.read(from, to));
        OVATION_CO_CHECK(co_await journal.load_for(rows));
        OVATION_CO_TRY(const auto made, journal.leaves(rows, from));
        for (const auto& leaf : made) {
            tree->append(leaf);
            if (tree->size() == told && pg::bytes_of(state.text(0, 4)) != bytes_of(tree->root()))
                log::error("ledger", "tree_differs", "seq={} err=\"the journal is not what was hashed when it was posted; run ovation ledger verify\"", told);
        }
        if (tree->size() != to - 1) co_return internal_fault(fmt::format("the journal ends at {} and not at {}; run ovation ledger verify", tree->size(), to - 1));
    }
    tree_ = *tree;
    co_return result<void>{};
}

awaitable<result<void>> resident_writer::read_clock(pg::connection& db) {
    OVATION_CO_TRY(const auto r, co_await db.query(sql::day_and_time, {}, statement_patience));
    ahead_us_ = r.number(0, 0) - steady_us();
    day_ = r.number(0, 1);
    day_ends_us_ = r.number(0, 2);
    clock_read_ms_ = clock_.steady_ms();
    co_return result<void>{};
}
// The database's clock, carried on by this machine's. Never backwards, but for a clock that was set right by more than ledger.advance takes.
std::int64_t resident_writer::time_us() {
    const auto now = steady_us() + ahead_us_;
    last_us_ = last_us_ - now > 3'000'000 ? now : std::max(last_us_, now);
    return last_us_;
}

awaitable<result<void>> resident_writer::read_leaves(pg::connection& db) {
    OVATION_CO_TRY(const auto r, co_await db.query(sql::leaves, {}, statement_patience));
    kept_from_ms_ = clock_.now_ms() - 9 * day_ms;
    std::vector<std::shared_ptr<leaf>> out;
    for (int i = 0; i < r.size(); ++i) {
        const auto first = r.number(i, 1), closed = r.number(i, 3);
        auto at = std::ranges::find(leaves_, first, [](const auto& l) { return l->first; });
        auto one = at == leaves_.end() ? std::make_shared<leaf>() : *at;
        if (at == leaves_.end()) {
            one->name = r.string(i, 0);
            one->first = first;
            one->end = r.number(i, 2);
            one->insert_name = "insert_" + one->name;
            one->insert_sql = sql::insert_gifts.sql;
            one->insert_sql.replace(one->insert_sql.find("ledger.gift "), 12, "ledger." + one->name + " ");
            one->insert = {one->insert_name.c_str(), one->insert_sql.c_str()};
            one->known_name = "known_" + one->name;
            one->known_sql = sql::known_gifts.sql;
            one->known_sql.replace(one->known_sql.find("ledger.gift "), 12, "ledger." + one->name + " ");
            one->known = {one->known_name.c_str(), one->known_sql.c_str()};
            // What comes into a leaf from now on comes through here.
            one->ready = first > seq_ && seq_ > 0;
        }
        one->closed_ms = closed;
        if (closed != 0 && closed < kept_from_ms_) one->keys.reset(), one->ready = false;
        else if (!one->keys) one->keys = std::make_unique<key_filter>(static_cast<std::size_t>(one->end - one->first));
        out.push_back(std::move(one));
    }
    leaves_ = std::move(out);
    co_return result<void>{};
}

awaitable<result<void>> resident_writer::tend(pg::connection& db) {
    tend_soon_ = false;
    const auto mine = generation_;
    OVATION_CO_CHECK(co_await db.query(sql::tend_leaves, {}, statement_patience));
    if (mine != generation_) co_return result<void>{};
    OVATION_CO_CHECK(co_await read_leaves(db));
    // The newest first: there most keys are found.
    for (auto known = leaves_; !known.empty() && mine == generation_; known.pop_back()) {
        const auto one = known.back();
        if (one->ready || !one->keys) continue;
        const auto until = std::min(one->end, seq_ + 1);
        for (auto from = one->first; from < until; from += reading_page) {
            const auto sql = fmt::format("copy (select key from ledger.{} where seq >= {} and seq < {}) to stdout (format binary)", one->name, from, std::min(from + reading_page, until));
            // Rows of 22 bytes: columns, length, key; the first behind a head of 19, then an end of 2.
            OVATION_CO_CHECK(co_await db.copy_out(sql, reading_patience, [&](std::string_view row) {
                uuid key;
                if (row.size() < 22) return;
                std::memcpy(key.bytes.data(), row.data() + row.size() - 16, 16);
                one->keys->add(key);
            }));
        }
        one->ready = true;
    }
    while (mine == generation_) {
        OVATION_CO_TRY(const auto indexed, co_await db.query(sql::index_leaf, {}, reading_patience));
        if (indexed.empty() || indexed.null(0, 0)) break;
        log::info("ledger", "leaf_indexed", "leaf={}", indexed.text(0, 0));
    }
    co_return result<void>{};
}

bool resident_writer::knows_keys() const {
    return !leaves_.empty() && std::ranges::all_of(leaves_, [](const auto& l) { return !l->keys || l->ready; });
}

resident_writer::leaf* resident_writer::leaf_at(std::int64_t seq) const {
    for (auto l = leaves_.rbegin(); l != leaves_.rend(); ++l)
        if ((*l)->first <= seq && seq < (*l)->end) return l->get();
    return nullptr;
}
// The first number that a gift with a key of this time may have. A key's time may lie an hour ahead of our clock, and the
// database's clock closed the leaf: a day leaves room for both.
std::int64_t resident_writer::leaves_from(std::int64_t key_ms) const {
    for (const auto& l : leaves_)
        if (l->closed_ms == 0 || l->closed_ms > key_ms - day_ms) return l->first;
    return 1;
}
// A key's row can lie in these leaves only: looked for there.
void resident_writer::ask_for(const uuid& key, std::unordered_map<leaf*, std::string>& asked) const {
    const auto from = leaves_from(key.time_ms());
    for (const auto& l : leaves_) {
        if (l->first < from || l->first >= next_seq() || (l->ready && !l->keys->maybe(key))) continue;
        auto& keys = asked[l.get()];
        keys += keys.empty() ? "{" : ",";
        keys += key.text();
    }
}

// How many unsaved rows are saved behind a batch of so many, so that none waits longer than the options say. Behind small batches
// none are until some have come together: a statement for one row costs more than the row.
std::size_t resident_writer::rows_due(std::size_t posting) {
    const auto now = clock_.steady_ms();
    const auto waiting = static_cast<double>(books_.unsaved());
    const auto since = static_cast<double>(now - committed_ms_);
    const auto share = std::max(static_cast<double>(posting) / static_cast<double>(options_.lag_gifts), since / static_cast<double>(options_.lag_ms));
    due_ = std::min(due_ + share * waiting, waiting);
    const auto whole = static_cast<std::size_t>(due_);
    if (saving() || (whole < rows_together && now - rows_saved_ms_ < options_.lag_ms / 10)) return 0;
    rows_saved_ms_ = now;
    due_ -= static_cast<double>(whole);
    return whole;
}

pg::request resident_writer::save_request(std::int64_t epoch, const saved_rows& what) {
    const auto column = [&](auto of) { return numbers(what.rows, of); };
    return {&sql::save, pg::with(epoch)
                            .add_raw(column([](const auto& r) { return r.account; }))
                            .add_raw(column([](const auto& r) { return r.amount; }))
                            .add_raw(column([](const auto& r) { return r.version; }))
                            .add_raw(column([](const auto& r) { return r.spent; }))
                            .add_raw(column([](const auto& r) { return r.day; }))
                            .add(what.as_of)};
}

std::vector<pg::request> resident_writer::requests_before(bool frontier, std::int64_t saved) const {
    std::vector<pg::request> out;
    const auto& p = *sealed_;
    const auto last = p.last_seq();
    pg::params head;
    head.add(epoch_).add(seq_).add(p.posted()).add(saved);
    if (judged_) head.add(limits_);
    else head.add_null();
    head.add(p.at_us).add_bytes(bytes_of(sealed_tree_.root()));
    if (frontier) head.add_bytes(sealed_tree_.frontier());
    else head.add_null();
    const auto* hot = leaf_at(seq_ + 1);
    head.add(hot != nullptr && last + 1 >= hot->end);
    out.push_back({&sql::advance, std::move(head)});
    if (!p.with.rows.empty()) out.push_back(save_request(epoch_, p.with));
    return out;
}
std::vector<pg::request> resident_writer::requests_after() const {
    std::vector<pg::request> out;
    const auto& p = *sealed_;
    if (p.entries.empty()) return out;
    std::vector<std::string> kinds, keys, accounts, amounts, references, details, salts;
    for (const auto& e : p.entries) {
        kinds.push_back(e.kind);
        keys.push_back(e.key);
        accounts.push_back(numbers(e.accounts, [](auto id) { return id; }));
        amounts.push_back(numbers(e.amounts, [](auto a) { return a; }));
        references.push_back(e.reference);
        details.push_back(e.detail);
        salts.push_back(crypto::to_hex(e.salt));
    }
    out.push_back({&sql::add_entries, pg::params()
                                          .add_raw(numbers(p.entries, [](const auto& e) { return e.seq; }))
                                          .add_text_array(kinds).add_text_array(keys).add(p.at_us).add_text_array(accounts).add_text_array(amounts)
                                          .add_text_array(references).add_text_array(details).add_text_array(salts)});
    return out;
}

void resident_writer::open() {
    if (open_) return;
    open_tree_ = sealed_ ? sealed_tree_ : tree_;
    open_ = books_.begin(next_seq(), time_us(), day_);
}

awaitable<result<outcomes>> resident_writer::judge(pg::connection& reader, std::span<const command* const> commands) {
    if (!open_ && (clock_.steady_ms() - clock_read_ms_ > 60'000 || time_us() >= day_ends_us_)) OVATION_CO_CHECK(co_await read_clock(reader));
    if (leaves_.empty() || leaves_.back()->end <= next_seq() + static_cast<std::int64_t>(commands.size()) + 1) {
        OVATION_CO_CHECK(co_await reader.query(sql::tend_leaves, {}, statement_patience));
        OVATION_CO_CHECK(co_await read_leaves(reader));
    }
    open();
    judging_ = true;  // what is brought in stays until it is judged
    auto judged = co_await judge_known(reader, commands);
    judging_ = false;
    if (!judged && open_) {
        books_.undo(*open_);
        open_.reset();
    }
    co_return judged;
}

awaitable<result<outcomes>> resident_writer::judge_known(pg::connection& reader, std::span<const command* const> commands) {
    OVATION_CO_TRY(auto known, co_await look_up(reader, commands));
    auto& to = *open_;
    outcomes out;
    out.reserve(commands.size());
    for (std::size_t i = 0; i < commands.size(); ++i) {
        if (const auto* g = std::get_if<gift_command>(commands[i])) {
            const auto at = known.gifts.find(g->key);
            out.emplace_back(books_.judge(to, *g, at == known.gifts.end() ? nullptr : &at->second));
        } else {
            const auto& e = std::get<entry_command>(*commands[i]);
            OVATION_CO_CHECK(co_await open_missing(reader, commands, known, i));
            const auto at = known.entries.find(e.key);
            out.push_back(books_.judge(to, e, at == known.entries.end() ? nullptr : &at->second, known.facts[i]));
        }
    }
    for (; open_tree_.size() < to.last_seq();) open_tree_.append(to.leaves[static_cast<std::size_t>(open_tree_.size() + 1 - to.from_seq)]);
    // A key that is not committed in the end does no harm in a filter.
    if (to.copied.empty()) to.copied = copy_head();
    for (; to.copied_rows < to.gifts.size(); ++to.copied_rows) {
        const auto& row = to.gifts[to.copied_rows];
        if (auto* l = leaf_at(row.seq)) l->keys->add(row.key);
        copy_row(to.copied, row);
    }
    co_return out;
}

void resident_writer::seal() {
    judged_ = open_.has_value();
    open();
    books_.seal(*open_, judged_ ? rows_due(static_cast<std::size_t>(open_->posted())) : 0);
    sealed_ = std::move(open_);
    sealed_tree_ = open_tree_;
    open_.reset();
}

void resident_writer::take_rows() {
    open();
    books_.seal(*open_, rows_when_idle);
    books_.keep(*open_);
    behind_ = std::move(open_->behind);
    open_.reset();
    if (behind_.rows.empty()) saved_up_to_ = behind_.up_to;
}
// As one message, so that whoever takes the head over never waits for the rest of it.
awaitable<result<void>> resident_writer::save(pg::connection& saver) {
    if (!has_rows()) co_return result<void>{};  // begun anew meanwhile
    const auto mine = generation_;
    saving_ = true;
    auto done = co_await saver.copy_in(pg::inlined(save_request(epoch_, behind_)), {}, statement_patience);
    if (mine != generation_) co_return result<void>{};
    saving_ = false;
    if (!done) co_return done;
    saved_up_to_ = behind_.up_to;
    behind_.rows.clear();
    books_.saved();
    if (!judging_) books_.evict();
    co_return done;
}

awaitable<result<void>> resident_writer::commit(pg::connection& db) {
    const auto& p = *sealed_;
    const auto last = p.last_seq();
    const bool frontier = last - frontier_seq_ >= options_.lag_gifts || (!judged_ && last != frontier_seq_);
    // What is saved behind this batch is told to the head by a later one.
    const auto saved = p.behind.rows.empty() && !saving() ? p.behind.up_to : saved_up_to_;
    auto requests = requests_before(frontier, saved);
    auto* into = p.gifts.empty() ? nullptr : leaf_at(p.gifts.front().seq);
    const bool one_leaf = into && p.gifts.back().seq < into->end;
    if (p.gifts.size() >= options_.copy_from || (!p.gifts.empty() && !one_leaf)) {
        std::string text;
        for (const auto& r : requests) text += pg::inlined(r) + ";";
        text += fmt::format("copy ledger.{} ({}) from stdin (format binary);", one_leaf ? into->name : "gift", gift_columns);
        for (const auto& r : requests_after()) text += pg::inlined(r) + ";";
        copy_end(sealed_->copied);
        OVATION_CO_CHECK(co_await db.copy_in(std::move(text), p.copied, statement_patience));
    } else {
        if (!p.gifts.empty()) {
            requests.push_back({&into->insert, pg::with(p.at_us)});
            requests.back().values.append(arrays_of(p.gifts));
        }
        for (auto& r : requests_after()) requests.push_back(std::move(r));
        OVATION_CO_CHECK(co_await db.run(std::move(requests), statement_patience));
    }
    tree_ = sealed_tree_;
    if (frontier) frontier_seq_ = last;
    seq_ = last;
    saved_up_to_ = std::max(saved_up_to_, saved);
    checkpoint_seq_ = std::max(checkpoint_seq_, saved);
    books_.keep(p);
    if (!p.behind.rows.empty()) behind_ = std::move(sealed_->behind);
    else if (!judging_) books_.evict();
    sealed_.reset();
    committed_ms_ = clock_.steady_ms();
    if (const auto* hot = leaf_at(seq_ + 1); !hot || hot == leaves_.back().get() || seq_ + 1 == hot->first) tend_soon_ = true;
    co_return result<void>{};
}

void resident_writer::undo() {
    if (open_) books_.undo(*open_);
    if (sealed_) books_.undo(*sealed_);
    open_.reset();
    sealed_.reset();
}
awaitable<result<void>> resident_writer::read_again(pg::connection& reader) {
    OVATION_CO_CHECK(co_await read_limits(reader));
    co_return co_await read_clock(reader);
}

namespace {

// The arrays of ledger.post_gifts.
struct gift_arrays {
    std::string keys = "{", payers = "{", routes = "{", prices = "{", items = "{", quantities = "{", rooms = "{", performances = "{", lookup_only = "{";
    std::int64_t oldest_key_ms = INT64_MAX;

    void add(const gift_command& g) {
        if (keys.size() > 1) keys += ',';
        keys += g.key.text();
        append_number(payers, g.payer.value);
        append_number(routes, g.route.value);
        append_number(prices, g.price);
        append_number(items, g.item);
        append_number(quantities, g.quantity);
        append_number(rooms, g.room.value);
        append_number(performances, g.performance.value);
        if (lookup_only.size() > 1) lookup_only += ',';
        lookup_only += g.lookup_only ? 't' : 'f';
        oldest_key_ms = std::min(oldest_key_ms, g.key.time_ms());
    }
    pg::params params(std::int64_t epoch) {
        pg::params p;
        p.add(epoch).add(std::max<std::int64_t>(oldest_key_ms, 0) / 1000);
        for (auto* a : {&keys, &payers, &routes, &prices, &items, &quantities, &rooms, &performances, &lookup_only}) p.add_raw(std::move(*a) + "}");
        return p;
    }
};

pg::request entry_request(const entry_command& e, std::int64_t epoch) {
    std::vector<std::string> accounts;
    for (const auto& leg : e.legs) accounts.push_back(leg.first);
    pg::params p;
    p.add(epoch).add(e.kind).add(e.key).add_text_array(accounts).add_raw(numbers(e.legs, [](const auto& leg) { return leg.second; })).add(e.reference).add(e.detail_json);
    return {&sql::post_entry, std::move(p)};
}
}  // namespace

// Runs of gifts as one call each, other entries as one call each, in order of arrival.
awaitable<result<outcomes>> resident_writer::post_by_sets(pg::connection& db, std::span<const command* const> batch) {
    std::vector<pg::request> requests;
    std::vector<bool> gifts;
    requests.push_back({&sql::catch_up, pg::with(epoch_)});
    for (std::size_t i = 0; i < batch.size();) {
        if (const auto* e = std::get_if<entry_command>(batch[i])) {
            requests.push_back(entry_request(*e, epoch_));
            gifts.push_back(false);
            ++i;
            continue;
        }
        gift_arrays arrays;
        for (; i < batch.size() && std::holds_alternative<gift_command>(*batch[i]); ++i) arrays.add(std::get<gift_command>(*batch[i]));
        requests.push_back({&sql::post_gifts, arrays.params(epoch_)});
        gifts.push_back(true);
    }
    requests.push_back({&sql::all_saved, pg::with(epoch_)});
    OVATION_CO_TRY(const auto answered, co_await db.run(std::move(requests), statement_patience));
    outcomes out;
    for (std::size_t r = 0; r < gifts.size(); ++r) {
        const auto& table = answered[r + 1];
        for (int row = 0; row < table.size(); ++row) {
            outcome o;
            o.state = static_cast<status>(table.number(row, 0));
            o.seq = entry_seq(table.number(row, 1));
            if (gifts[r]) {
                o.paid = table.number(row, 2);
                o.gift_only = table.number(row, 3);
                o.bonus = table.number(row, 4);
            }
            out.emplace_back(o);
        }
    }
    if (out.size() != batch.size()) co_return internal_fault("the ledger answered another number of commands");
    co_return out;
}

}  // namespace ovation::ledger
