#include "ledger/service.hpp"

#include <spdlog/fmt/fmt.h>

#include <array>
#include <charconv>

#include "base/limits.hpp"
#include "base/money.hpp"
#include "ledger/audit.hpp"
#include "ledger/reading.hpp"
#include "ledger/sealing.hpp"
#include "ledger/sql.hpp"

namespace ovation::ledger {
namespace {
constexpr int page_size_default = 50;
constexpr int page_size_max = 200;
constexpr auto reply_patience = std::chrono::seconds(10);

fault not_sealed_yet() {
    auto f = precondition("not_sealed_yet", "This entry will be in the next checkpoint. Ask again in a while.");
    f.retryable = true;
    return f;
}

// Where the statement of an account goes on: with entries older than `before`, of the newest of them `told` postings stood on the
// last page; the next one leaves `balance` at `version`.
struct cursor {
    std::int64_t account = 0, before = INT64_MAX, told = 0, balance = 0, version = 0;
    [[nodiscard]] std::string text() const { return fmt::format("{}.{}.{}.{}.{}", account, before, told, balance, version); }
    static std::optional<cursor> parse(std::string_view t) {
        cursor out;
        for (auto* part : {&out.account, &out.before, &out.told, &out.balance, &out.version}) {
            const auto [end, bad] = std::from_chars(t.data(), t.data() + t.size(), *part);
            if (bad != std::errc{}) return std::nullopt;
            t.remove_prefix(static_cast<std::size_t>(end - t.data()));
            if (part == &out.version ? !t.empty() : !t.starts_with('.')) return std::nullopt;
            if (!t.empty()) t.remove_prefix(1);
        }
        constexpr auto most = std::int64_t{1} << 60;
        const bool sane = out.before > 0 && out.told >= 0 && out.told < 10 && out.version >= 0 && std::abs(out.balance) < most;
        return sane ? std::optional(out) : std::nullopt;
    }
};

// Legs of a gift in posting order: name, amount column, account column, share column (−1: none), sign.
struct leg_columns {
    const char* party;
    int amount, account, share;
};
constexpr std::array<leg_columns, 10> gift_legs{{{"bonus", 16, 20, -1}, {"gift_only", 17, 21, -1}, {"wallet", 18, 22, -1}, {"vat", 4, 23, -1}, {"rights", 5, 24, 31},
                                                 {"singer", 6, 25, 32}, {"agent", 7, 26, 33}, {"venue", 8, 27, 34}, {"platform", 9, 28, 35}, {"promo", 10, 29, -1}}};

v1::SplitRule rule_of(const pg::rows& r, int i) {
    v1::SplitRule out;
    out.set_rights_bp(static_cast<int>(r.number(i, 31)));
    out.set_singer_bp(static_cast<int>(r.number(i, 32)));
    out.set_agent_bp(static_cast<int>(r.number(i, 33)));
    out.set_venue_bp(static_cast<int>(r.number(i, 34)));
    out.set_platform_bp(static_cast<int>(r.number(i, 35)));
    out.set_gross(r.boolean(i, 36));
    out.set_vat_bp(static_cast<int>(r.number(i, 37)));
    out.set_id(r.number(i, 38));
    out.set_preset(r.string(i, 39));
    out.set_preset_version(static_cast<int>(r.number(i, 40)));
    out.set_source(r.string(i, 41));
    out.set_source_id(r.number(i, 42));
    return out;
}

// The postings of one account in one gift; a party may stand on two legs.
std::vector<v1::Posting> gift_postings(const pg::rows& r, int i, std::int64_t account) {
    v1::Posting common;
    common.set_entry_seq(r.number(i, 0));
    common.set_kind("gift");
    common.set_key(r.string(i, 1));
    common.set_at_ms(r.number(i, 2));
    common.set_price_micros(r.number(i, 3));
    common.set_vat_micros(r.number(i, 4));
    common.set_bonus_micros(-r.number(i, 16));
    common.set_item_id(r.number(i, 11));
    common.set_quantity(static_cast<int>(r.number(i, 12)));
    common.set_room_id(r.number(i, 13));
    *common.mutable_rule() = rule_of(r, i);
    common.set_base_micros(common.price_micros() - common.bonus_micros() - (common.rule().gross() ? 0 : common.vat_micros()));
    for (const auto& leg : gift_legs) {
        if (r.number(i, leg.amount) == 0) continue;
        auto& made = *common.add_legs();
        made.set_party(leg.party);
        made.set_amount_micros(r.number(i, leg.amount));
        if (leg.share >= 0) made.set_share_bp(static_cast<int>(r.number(i, leg.share)));
    }
    std::vector<v1::Posting> out;
    for (const auto& leg : gift_legs) {
        if (r.number(i, leg.amount) == 0 || r.number(i, leg.account) != account) continue;
        auto& p = out.emplace_back(common);
        p.set_party(leg.party);
        p.set_amount_micros(r.number(i, leg.amount));
        if (leg.share >= 0) p.set_share_bp(static_cast<int>(r.number(i, leg.share)));
    }
    return out;
}

// One row a leg: seq, kind, key, at_ms, account, account name, amount.
// To a party, what others have in an entry of a case is one sum: whose gift was disputed, and what is held of whom, is not told.
std::vector<std::vector<v1::Posting>> entry_postings(const pg::rows& r, std::int64_t account, bool to_party) {
    std::vector<std::vector<v1::Posting>> out;
    for (int i = 0; i < r.size();) {
        v1::Posting common;
        common.set_entry_seq(r.number(i, 0));
        common.set_kind(r.string(i, 1));
        common.set_key(r.string(i, 2));
        common.set_at_ms(r.number(i, 3));
        common.set_effective_day(r.string(i, 7));
        std::int64_t of_case = 0;
        const auto number = r.text(i, 8);
        std::from_chars(number.data(), number.data() + number.size(), of_case);
        common.set_case_id(of_case);
        std::vector<v1::Posting> mine;
        const int first = i;
        for (; i < r.size() && r.number(i, 0) == r.number(first, 0); ++i) {
            auto& leg = *common.add_legs();
            leg.set_party(std::string(r.text(i, 5).substr(0, r.text(i, 5).find(':'))));
            leg.set_amount_micros(r.number(i, 6));
        }
        const bool closed = to_party && of_case != 0;
        const auto whole = common.legs();
        if (closed) {
            common.clear_legs();
            std::int64_t others = 0;
            for (int k = first; k < i; ++k)
                if (r.number(k, 4) == account) *common.add_legs() = whole[k - first];
                else others += r.number(k, 6);
            auto& rest = *common.add_legs();
            rest.set_party("others");
            rest.set_amount_micros(others);
        }
        for (int k = first; k < i; ++k) {
            if (r.number(k, 4) != account) continue;
            auto& p = mine.emplace_back(common);
            p.set_amount_micros(r.number(k, 6));
            p.set_party(whole[k - first].party());
        }
        out.push_back(std::move(mine));
    }
    return out;
}
}  // namespace

v1::SplitRule to_proto(const split_rule& r) {
    v1::SplitRule out;
    out.set_preset(r.preset);
    out.set_preset_version(r.preset_version);
    out.set_source(r.source);
    out.set_source_id(r.source_id);
    out.set_gross(r.gross);
    out.set_vat_bp(r.vat_bp);
    out.set_rights_bp(r.rights_bp);
    out.set_singer_bp(r.singer_bp);
    out.set_agent_bp(r.agent_bp);
    out.set_venue_bp(r.venue_bp);
    out.set_platform_bp(r.platform_bp);
    return out;
}

void service::register_with(rpc_table& table) {
    const std::string prefix = "/ovation.v1.LedgerService/";
    bind_rpc(table, prefix + "GetWallet", *this, &service::get_wallet);
    bind_rpc(table, prefix + "ListPostings", *this, &service::list_postings);
    bind_rpc(table, prefix + "ListAccountPostings", *this, &service::list_account_postings);
    bind_rpc(table, prefix + "ProveEntry", *this, &service::prove);
    bind_rpc(table, prefix + "SetDailyLimit", *this, &service::set_daily_limit);
    bind_rpc(table, prefix + "GetLedgerHealth", *this, &service::get_health);
}

awaitable<result<v1::GetWalletResponse>> service::wallet_of(user_id user) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::wallet, pg::with(user, time_zone_)));
    v1::GetWalletResponse out;
    if (r.empty()) co_return out;
    out.set_coins(r.number(0, 0) / micros_per_coin);
    out.set_gift_only_coins(r.number(0, 1) / micros_per_coin);
    out.set_bonus_coins(r.number(0, 2) / micros_per_coin);
    out.set_earnings_micros(r.number(0, 3));
    out.set_daily_limit_coins(r.number(0, 4) / micros_per_coin);
    out.set_spent_today_coins(r.number(0, 5) / micros_per_coin);
    out.set_raised_limit_coins(r.number(0, 6) / micros_per_coin);
    out.set_raised_limit_from_ms(r.number(0, 7));
    co_return out;
}

awaitable<result<v1::GetWalletResponse>> service::get_wallet(granted who, v1::GetWalletRequest) { co_return co_await wallet_of(who.user()); }

awaitable<result<v1::GetWalletResponse>> service::set_daily_limit(granted who, v1::SetDailyLimitRequest request) {
    if (request.daily_limit_coins() < 0 || request.daily_limit_coins() > limits::daily_limit_coins_max)
        co_return invalid("daily_limit_coins", fmt::format("a daily limit lies between 0 and {} coins.", limits::daily_limit_coins_max));
    OVATION_CO_CHECK(co_await cores_.db().query(sql::set_daily_limit, pg::with(who.user(), request.daily_limit_coins() * micros_per_coin)));
    co_return co_await wallet_of(who.user());
}

awaitable<result<v1::ListPostingsResponse>> service::list_postings(granted who, v1::ListPostingsRequest request) {
    std::string kind = request.account();
    if (kind.empty()) {
        OVATION_CO_TRY(auto has, co_await cores_.db().query(sql::account_by_name, pg::with(fmt::format("earnings:{}", who.user().value))));
        kind = has.empty() ? "wallet" : "earnings";
    }
    if (kind != "wallet" && kind != "earnings" && kind != "gift_only" && kind != "bonus")
        co_return invalid("account", "one of wallet, earnings, gift_only, bonus.");
    OVATION_CO_TRY(auto out, co_await statement({fmt::format("{}:{}", kind, who.user().value), request.page_size(), request.page_token(), request.as_of_ms(), request.by_effective(), true}));
    if (!out) out.emplace();  // nothing was ever booked there
    out->set_account(kind);
    co_return std::move(*out);
}

awaitable<result<v1::ListPostingsResponse>> service::list_account_postings(granted, v1::ListAccountPostingsRequest request) {
    if (request.account().empty() || request.account().size() > 60) co_return invalid("account", "the name of an account, as platform, vat, earnings:rights or earnings:7.");
    OVATION_CO_TRY(auto out, co_await statement({request.account(), request.page_size(), request.page_token(), request.as_of_ms(), request.by_effective(), false}));
    if (!out) co_return not_found("This account");
    out->set_account(request.account());
    co_return std::move(*out);
}

awaitable<result<v1::ProveEntryResponse>> service::prove(granted who, v1::ProveEntryRequest request) {
    if (request.entry_seq() < 1) co_return invalid("entry_seq", "entries are numbered from 1 on.");
    if (seal_folder_.empty()) co_return precondition("no_seals", "This server keeps no seals. Ask whoever runs it for a proof.");
    auto held = co_await cores_.db().acquire();
    if (!held) co_return held.error();
    if (!who.who().roles.has(v1::ROLE_FINANCE)) {
        OVATION_CO_TRY(const auto party, co_await (*held)->query(sql::is_party, pg::with(request.entry_seq(), who.user()), reply_patience));
        if (!party.boolean(0, 0)) co_return not_found("An entry of yours with this number");
        if (party.boolean(0, 1)) co_return denied("tells_of_others", "An entry of a case tells of others, and is proven by finance. Question the case.");
    }
    const seal_folder folder(seal_folder_);
    const auto note = folder.note();
    const auto verifier = folder.verifier();
    if (!note || !verifier) co_return not_sealed_yet();
    OVATION_CO_TRY(const auto newest, open_checkpoint(*note, *verifier));
    if (request.entry_seq() > newest.size) co_return not_sealed_yet();
    v1::ProveEntryResponse out;
    OVATION_CO_TRY(*out.mutable_proof(), co_await prove_entry(**held, folder, *verifier, request.entry_seq()));
    co_return out;
}

// Newest first; none: there is no such account.
awaitable<result<std::optional<v1::ListPostingsResponse>>> service::statement(question q) {
    const auto size = q.page_size == 0 ? page_size_default : q.page_size;
    if (size < 1 || size > page_size_max) co_return invalid("page_size", "a page has 1 to 200 postings.");
    std::optional<cursor> at;
    constexpr std::int64_t latest_ms = 4'102'444'800'000;  // 2100-01-01
    if (q.as_of_ms < 0 || q.as_of_ms > latest_ms) co_return invalid("as_of_ms", "milliseconds since 1970, up to the year 2100.");
    if (q.by_effective && q.as_of_ms == 0) co_return invalid("as_of_ms", "by_effective needs a moment.");
    if (!q.page_token.empty()) {
        at = cursor::parse(q.page_token);
        if (!at) co_return invalid("page_token", "this is not a token that an earlier page gave.");
    }

    v1::ListPostingsResponse out;
    auto held = co_await cores_.db().acquire();
    if (!held) co_return held.error();
    OVATION_CO_CHECK(co_await (*held)->query(begin_snapshot, {}, reply_patience));
    OVATION_CO_TRY(auto account, co_await (*held)->query(sql::account_by_name, pg::with(q.account), reply_patience));
    if (account.empty()) {
        OVATION_CO_CHECK(co_await held->commit());
        co_return std::optional<v1::ListPostingsResponse>();
    }
    const auto account_number = account.number(0, 0);
    const auto kind = account.string(0, 3);
    auto balance = account.number(0, 1), version = account.number(0, 2), last = INT64_MAX - 1;
    std::optional<std::string> day;
    if (q.as_of_ms != 0) {
        OVATION_CO_TRY(auto then, co_await (*held)->query(sql::account_at, pg::with(account_number, q.as_of_ms, time_zone_), reply_patience));
        last = then.number(0, 0);
        balance -= then.number(0, 1);
        version -= then.number(0, 2);
        if (q.by_effective) {
            day = then.string(0, 3);
            balance += then.number(0, 4);
            version = 0;
        }
    }
    out.set_balance_micros(balance);
    if (!at) at = cursor{account_number, day ? INT64_MAX : last + 1, 0, balance, version};
    if (at->account != account_number) co_return invalid("page_token", "this token is of another account's statement.");
    const bool pays = kind == "wallet" || kind == "gift_only" || kind == "bonus";
    const auto gifts_before = std::min(at->before, last + 1);
    auto asked = pays ? pg::with(account.number(0, 4), gifts_before, size + 1, kind) : pg::with(account_number, gifts_before, size + 1);
    auto asked_entries = pg::with(account_number, at->before, size + 1, last);
    if (day) asked_entries.add(*day);
    else asked_entries.add_null();
    OVATION_CO_TRY(auto gifts, co_await (*held)->query(pays ? sql::gifts_of_payer : kind == "earnings" ? sql::gifts_of_earner : sql::gifts_of_house, std::move(asked), reply_patience));
    OVATION_CO_TRY(auto entries, co_await (*held)->query(sql::entries_of_account, std::move(asked_entries), reply_patience));
    OVATION_CO_CHECK(co_await held->commit());

    auto others = entry_postings(entries, account_number, q.to_party);
    std::size_t next_other = 0;
    int next_gift = 0;
    while (out.postings_size() < size && (next_gift < gifts.size() || next_other < others.size())) {
        const auto gift_seq = next_gift < gifts.size() ? gifts.number(next_gift, 0) : 0;
        const auto other_seq = next_other < others.size() ? others[next_other].front().entry_seq() : 0;
        auto mine = gift_seq > other_seq ? gift_postings(gifts, next_gift++, account_number) : std::move(others[next_other++]);
        const auto seq = std::max(gift_seq, other_seq);
        auto p = mine.rbegin() + std::min<std::ptrdiff_t>(std::exchange(at->told, 0), std::ssize(mine));
        at->before = seq;
        for (; p != mine.rend(); ++p) {
            // An entry with several postings may go on over the page's edge.
            if (out.postings_size() == size) {
                at->before = seq + 1;
                at->told = p - mine.rbegin();
                break;
            }
            p->set_balance_after_micros(at->balance);
            at->balance -= p->amount_micros();
            if (!day) p->set_account_version(at->version--);
            *out.add_postings() = std::move(*p);
        }
    }
    if (at->told > 0 || next_gift < gifts.size() || next_other < others.size()) out.set_next_page_token(at->text());
    co_return std::optional(std::move(out));
}

awaitable<result<v1::GetLedgerHealthResponse>> service::get_health(granted, v1::GetLedgerHealthRequest) {
    v1::GetLedgerHealthResponse out;
    OVATION_CO_TRY(auto checks, co_await quick_checks(cores_.db()));
    for (const auto& c : checks) {
        auto& made = *out.add_checks();
        made.set_name(c.name);
        made.set_ok(c.ok);
        made.set_count(c.count);
        made.set_detail(c.detail);
    }
    OVATION_CO_TRY(auto totals, co_await cores_.db().query(sql::account_totals, {}));
    for (int i = 0; i < totals.size(); ++i) {
        auto& t = *out.add_totals();
        t.set_kind(totals.string(i, 0));
        t.set_accounts(totals.number(i, 1));
        t.set_amount_micros(totals.number(i, 2));
    }
    OVATION_CO_TRY(auto head, co_await cores_.db().query(sql::head_seq, {}));
    out.set_head_seq(head.number(0, 0));
    out.set_writer_epoch(head.number(0, 1));
    out.set_queue_depth(static_cast<std::int64_t>(queue_.depth()));
    co_return out;
}

}  // namespace ovation::ledger
