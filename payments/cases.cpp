#include "payments/cases.hpp"

#include <spdlog/fmt/fmt.h>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/money.hpp"
#include "base/text.hpp"
#include "base/uuid.hpp"
#include "payments/internal/enum_text.hpp"
#include "payments/sql.hpp"

namespace ovation::payments {
namespace {
constexpr std::string_view kind_prefix = "CASE_KIND_", case_state_prefix = "CASE_STATE_";
constexpr int listed = 100;
constexpr int decided_max = 500;
constexpr std::int64_t fee_max_minor = 100'000;
constexpr int busy_tries = 40;
constexpr auto busy_pause = std::chrono::milliseconds(50);

std::string kind_text(v1::CaseKind k) { return enum_text(k, kind_prefix); }

fault refusal(std::string_view problem) {
    if (problem == "not_found") return not_found("This order, gift or case");
    if (problem == "key_reused") return precondition("key_reused", "This key belongs to another case. Make a new key.");
    if (problem == "not_paid") return precondition("not_paid", "This order was never paid.");
    if (problem == "all_spent") return precondition("all_spent", "Nothing of this top-up is left: all its coins are spent.");
    if (problem == "all_given_back") return precondition("all_given_back", "This top-up has been given back already, and none of it was spent.");
    if (problem == "too_late") return precondition("too_late", "Unspent coins can be given back for some days only, and these have passed.");
    if (problem == "account_frozen") return precondition("account_frozen", "This wallet is frozen while a case is open.");
    if (problem == "already_in_a_case") return precondition("already_in_a_case", "Another case is about this money already.");
    if (problem == "wrong_state") return precondition("wrong_state", "The case does not stand where this decision is possible. Look at it again.");
    if (problem == "second_person") return precondition("second_person", "Your word is kept. Another person must decide the same before it takes effect.");
    if (problem == "own_money") return denied("own_money", "Somebody else must decide about your own money.");
    if (problem == "coins_held") return exhausted("coins_held", "Coins of this wallet are held for a song. Try again when it has been sung.", 60'000);
    if (problem == "busy") return exhausted("busy", "This is being booked. Try again in a moment.", 500);
    if (problem == "not_due") return precondition("not_due", "Nothing that this party owes is old enough to be written off.");
    return internal_fault(fmt::format("the case is refused: {}", problem));
}
// To the other parties a case is a number.
void hide_payer(v1::Case& c) {
    c.clear_user_id();
    c.clear_name();
    c.clear_rest_micros();
    c.clear_provider_reference();
}
// What others brought is read, not who they are.
void hide_others(v1::Case& c, const std::string& mine) {
    for (auto& e : *c.mutable_evidence())
        if (e.by() != mine) e.clear_by();
}
result<void> check_text(std::string_view text, std::string_view field, std::size_t most) {
    const auto n = text::characters(text);
    if (!n || *n < 3 || *n > most) return invalid(field, fmt::format("3 to {} characters.", most));
    return {};
}
}  // namespace

cases::cases(cores& all, core& home, steps& books, metrics& registry)
    : all_(all), home_(home), books_(books), open_cases_(registry.make_gauge("ovation_cases_open", "Cases that are not decided.")),
      overdue_(registry.make_gauge("ovation_cases_overdue", "Of them, those whose deadline has passed.")),
      worst_rate_(registry.make_gauge("ovation_dispute_rate_bp", "Chargebacks of 100 top-ups of the last 30 days, in basis points, of the provider that has the most.")),
      refunds_open_(registry.make_gauge("ovation_refunds_open", "Money that the books gave back and that has not been sent.")) {}

void cases::register_with(rpc_table& table, access_gate& gate) {
    const std::string prefix = "/ovation.v1.CaseService/";
    bind_rpc(table, prefix + "RefundTopUp", *this, &cases::refund_top_up);
    bind_rpc(table, prefix + "ListLots", *this, &cases::list_lots);
    bind_rpc(table, prefix + "AskAboutEntry", *this, &cases::ask_about);
    bind_rpc(table, prefix + "ListMyCases", *this, &cases::list_mine);
    bind_rpc(table, prefix + "GetMyCase", *this, &cases::get_mine);
    bind_rpc(table, prefix + "AddEvidence", *this, &cases::add_evidence);
    bind_rpc(table, prefix + "OpenCase", *this, &cases::open);
    bind_rpc(table, prefix + "GetCase", *this, &cases::get);
    bind_rpc(table, prefix + "ListCases", *this, &cases::list);
    bind_rpc(table, prefix + "DecideCases", *this, &cases::decide);
    bind_rpc(table, prefix + "ListReceivables", *this, &cases::list_receivables);
    bind_rpc(table, prefix + "WriteOff", *this, &cases::write_off);
    auto party = access_gate::by_row(all_, sql::is_case_party);
    gate.resolve(v1::RELATION_OWN, "case_id", [party](const caller& who, std::int64_t id) -> awaitable<result<bool>> {
        if (access_gate::of_house(who)) return [](bool yes) -> awaitable<result<bool>> { co_return yes; }(true);
        return party(who, id);
    });
}

awaitable<result<std::vector<v1::Case>>> cases::read(std::int64_t id, user_id user, std::string kind, int open, int limit) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::cases_by, pg::with(id, user, kind, open, limit)));
    std::vector<v1::Case> out;
    for (int i = 0; i < r.size(); ++i) {
        auto& c = out.emplace_back();
        c.set_id(r.number(i, 0));
        c.set_kind(enum_of<v1::CaseKind>(r.text(i, 1), kind_prefix));
        c.set_state(enum_of<v1::CaseState>(r.text(i, 2), case_state_prefix));
        c.set_user_id(r.number(i, 3));
        c.set_name(r.string(i, 4));
        c.set_order_id(r.number(i, 5));
        c.set_entry_seq(r.number(i, 6));
        c.set_amount_micros(r.number(i, 7));
        c.set_rest_micros(r.number(i, 8));
        c.set_provider(r.string(i, 9));
        c.set_provider_reference(r.string(i, 10));
        c.set_provider_fee_minor(r.number(i, 11));
        c.set_opened_at_ms(r.number(i, 12));
        c.set_deadline_ms(r.number(i, 13));
        c.set_closed_at_ms(r.number(i, 14));
        c.set_reason(r.string(i, 15));
        c.set_approvals(static_cast<int>(r.number(i, 16)));
        c.set_approvals_needed(static_cast<int>(r.number(i, 17)));
    }
    co_return out;
}

awaitable<result<v1::Case>> cases::one(std::int64_t id, bool whole) {
    OVATION_CO_TRY(auto found, co_await read(id, {}, "", 0, 1));
    if (id <= 0 || found.empty()) co_return not_found("This case");
    auto out = std::move(found.front());
    const auto subject = kind_text(out.kind());
    OVATION_CO_TRY(auto s, co_await all_.db().query(sql::steps_of, pg::with(subject).add_raw(fmt::format("{{{}}}", id))));
    for (int i = 0; i < s.size(); ++i) {
        auto& step = *out.add_steps();
        step.set_state(s.string(i, 1));
        step.set_at_ms(s.number(i, 2));
        step.set_entry_seq(s.number(i, 3));
        step.set_reason(s.string(i, 4));
        if (whole) step.set_actor(s.string(i, 5));
    }
    OVATION_CO_TRY(auto e, co_await all_.db().query(sql::evidence_of, pg::with(id)));
    for (int i = 0; i < e.size(); ++i) {
        auto& one = *out.add_evidence();
        one.set_at_ms(e.number(i, 0));
        one.set_by(e.string(i, 1));
        one.set_text(e.string(i, 2));
    }
    if (!whole) co_return out;  // whose shares are held is not told to the others
    OVATION_CO_TRY(auto h, co_await all_.db().query(sql::case_shares, pg::with(id)));
    for (int i = 0; i < h.size(); ++i) {
        auto& share = *out.add_shares();
        share.set_account(h.string(i, 0));
        share.set_micros(h.number(i, 1));
        share.set_held_micros(h.number(i, 2));
    }
    OVATION_CO_TRY(auto p, co_await all_.db().query(sql::case_parts, pg::with(id)));
    for (int i = 0; i < p.size(); ++i) {
        if (out.parts_size() == 0 || out.parts(out.parts_size() - 1).entry_seq() != p.number(i, 0)) {
            auto& part = *out.add_parts();
            part.set_entry_seq(p.number(i, 0));
            part.set_micros(p.number(i, 1));
        }
        auto& share = *out.mutable_parts(out.parts_size() - 1)->add_shares();
        share.set_account(p.string(i, 2));
        share.set_micros(p.number(i, 3));
    }
    co_return out;
}

awaitable<result<v1::Case>> cases::open_one(opening what, bool whole) {
    asio::steady_timer pause(co_await asio::this_coro::executor);
    for (int i = 0;; ++i) {
        OVATION_CO_TRY(auto r, co_await all_.db().query(sql::open_case, pg::with(what.key, what.kind, what.order, what.entry, what.user, what.actor, what.house, what.reason, what.reference, what.fee_minor)));
        if (r.text(0, 1) == "busy" && i < busy_tries) {
            // Another case of this payer is being booked.
            pause.expires_after(busy_pause);
            co_await pause.async_wait(use_tuple);
            continue;
        }
        if (!r.text(0, 1).empty()) co_return refusal(r.text(0, 1));
        const auto id = r.number(0, 0);
        OVATION_CO_CHECK(co_await books_.settle(what.kind, id));
        OVATION_CO_TRY(auto made, co_await one(id, whole));
        if (made.kind() == v1::CASE_KIND_UNSPENT && made.state() == v1::CASE_STATE_DISMISSED) co_return refusal("all_spent");
        co_return made;
    }
}

awaitable<result<v1::Case>> cases::refund_top_up(granted who, v1::RefundTopUpRequest request) {
    opening what;
    what.kind = "unspent";
    what.reason = "asked for by the payer";
    what.order = request.order_id();
    what.actor = who.user();
    co_return co_await open_one(std::move(what), false);
}

awaitable<result<v1::ListLotsResponse>> cases::list_lots(granted who, v1::ListLotsRequest) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::lots_of, pg::with(who.user())));
    v1::ListLotsResponse out;
    for (int i = 0; i < r.size(); ++i) {
        auto& lot = *out.add_lots();
        lot.set_order_id(r.number(i, 0));
        lot.set_entry_seq(r.number(i, 1));
        lot.set_at_ms(r.number(i, 2));
        lot.set_coins(r.number(i, 3) / micros_per_coin);
        lot.set_left_coins(r.number(i, 4) / micros_per_coin);
        lot.set_provider(r.string(i, 5));
        lot.set_refundable(r.boolean(i, 6));
        lot.set_refundable_until_ms(r.number(i, 7));
    }
    co_return out;
}

awaitable<result<v1::Case>> cases::ask_about(granted who, v1::AskAboutEntryRequest request) {
    const auto key = uuid::parse(request.key());
    if (!key) co_return invalid("key", "must be a UUID that the client makes for this question.");
    OVATION_CO_CHECK(check_text(request.text(), "text", 500));
    OVATION_CO_TRY(auto own, co_await all_.db().query(sql::owns_entry, pg::with(request.entry_seq(), who.user())));
    if (own.empty()) co_return not_found("This entry of yours");
    opening what;
    what.key = key->text();
    what.kind = "question";
    what.reason = request.text();
    what.entry = request.entry_seq();
    what.user = what.actor = who.user();
    co_return co_await open_one(std::move(what), false);
}

awaitable<result<v1::ListCasesResponse>> cases::list_mine(granted who, v1::ListMyCasesRequest) {
    OVATION_CO_TRY(auto found, co_await read(0, who.user(), "", 0, listed));
    v1::ListCasesResponse out;
    for (auto& c : found) {
        if (user_id(c.user_id()) != who.user()) hide_payer(c);
        *out.add_cases() = std::move(c);
    }
    co_return out;
}

awaitable<result<v1::Case>> cases::add_evidence(granted who, v1::AddEvidenceRequest request) {
    OVATION_CO_CHECK(check_text(request.text(), "text", 4000));
    OVATION_CO_TRY(auto kept, co_await all_.db().query(sql::add_evidence, pg::with(request.case_id(), who.user(), request.text())));
    if (kept.empty()) co_return precondition("wrong_state", "This case is decided.");
    co_return co_await seen_by(who.who(), request.case_id());
}

awaitable<result<v1::Case>> cases::get_mine(granted who, v1::GetMyCaseRequest request) { co_return co_await seen_by(who.who(), request.case_id()); }

awaitable<result<v1::Case>> cases::seen_by(caller who, std::int64_t id) {
    const bool house = access_gate::of_house(who);
    OVATION_CO_TRY(auto now, co_await one(id, house));
    if (!house && user_id(now.user_id()) != who.user) hide_payer(now);
    if (!house) hide_others(now, who.name);
    co_return now;
}

awaitable<result<v1::Case>> cases::open(granted who, v1::OpenCaseRequest request) {
    const auto key = uuid::parse(request.key());
    if (!key) co_return invalid("key", "must be a UUID that the client makes for this case.");
    const auto kind = request.kind();
    const bool of_order = kind == v1::CASE_KIND_CHARGEBACK || kind == v1::CASE_KIND_MINOR;
    if (!of_order && kind != v1::CASE_KIND_GIFT && kind != v1::CASE_KIND_FRAUD) co_return invalid("kind", "one of GIFT, CHARGEBACK, MINOR, FRAUD.");
    if (of_order && request.order_id() <= 0) co_return invalid("order_id", "says which top-up the case is about.");
    if (!of_order && request.entry_seq() <= 0) co_return invalid("entry_seq", "says which gift the case is about.");
    if (request.provider_fee_minor() < 0 || request.provider_fee_minor() > fee_max_minor) co_return invalid("provider_fee_minor", fmt::format("0 to {}.", fee_max_minor));
    if (request.provider_fee_minor() > 0 && kind != v1::CASE_KIND_CHARGEBACK) co_return invalid("provider_fee_minor", "only a chargeback has one.");
    if (request.provider_reference().size() > 100) co_return invalid("provider_reference", "up to 100 bytes.");
    opening what;
    what.key = key->text();
    what.kind = kind_text(kind);
    what.reason = request.reason();
    what.reference = request.provider_reference();
    what.order = of_order ? request.order_id() : 0;
    what.entry = of_order ? 0 : request.entry_seq();
    what.fee_minor = request.provider_fee_minor();
    what.actor = who.user();
    what.house = true;
    co_return co_await open_one(std::move(what), true);
}

awaitable<result<v1::Case>> cases::get(granted, v1::GetCaseRequest request) { co_return co_await one(request.case_id(), true); }

awaitable<result<v1::ListCasesResponse>> cases::list(granted, v1::ListCasesRequest request) {
    if (request.limit() < 0 || request.limit() > limits::money_listed_max) co_return invalid("limit", fmt::format("0 to {}.", limits::money_listed_max));
    if (!v1::CaseKind_IsValid(request.kind())) co_return invalid("kind", "is none that a case has.");
    const auto kind = request.kind() == v1::CASE_KIND_UNSPECIFIED ? std::string() : kind_text(request.kind());
    OVATION_CO_TRY(auto found, co_await read(0, {}, kind, request.closed() ? 2 : 1, request.limit() == 0 ? listed : request.limit()));
    v1::ListCasesResponse out;
    for (auto& c : found) *out.add_cases() = std::move(c);
    OVATION_CO_TRY(auto counts, co_await all_.db().query(sql::case_counts, {}));
    out.set_overdue(static_cast<int>(counts.number(0, 1)));
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::case_rates, {}));
    for (int i = 0; i < r.size(); ++i) {
        auto& rate = *out.add_rates();
        rate.set_provider(r.string(i, 0));
        rate.set_top_ups(r.number(i, 1));
        rate.set_chargebacks(r.number(i, 2));
        rate.set_rate_bp(static_cast<int>(r.number(i, 3)));
        rate.set_alarm_bp(static_cast<int>(r.number(i, 4)));
    }
    co_return out;
}

awaitable<result<v1::DecideCasesResponse>> cases::decide(granted who, v1::DecideCasesRequest request) {
    if (request.case_ids().empty() || request.case_ids_size() > decided_max) co_return invalid("case_ids", fmt::format("1 to {} cases.", decided_max));
    std::string decision;
    switch (request.decision()) {
        case v1::CASE_DECISION_RESPOND: decision = "respond"; break;
        case v1::CASE_DECISION_UPHOLD: decision = "uphold"; break;
        case v1::CASE_DECISION_DISMISS: decision = "dismiss"; break;
        default: co_return invalid("decision", "one of RESPOND, UPHOLD, DISMISS.");
    }
    v1::DecideCasesResponse out;
    for (const auto id : request.case_ids()) {
        const auto refuse = [&](const fault& f) {
            auto& no = *out.add_refused();
            no.set_case_id(id);
            no.set_reason(f.reason);
            no.set_message(f.told());
        };
        OVATION_CO_TRY(auto r, co_await all_.db().query(sql::decide_case, pg::with(id, decision, who.user(), request.reason())));
        if (!r.text(0, 1).empty()) {
            refuse(refusal(r.text(0, 1)));
            continue;
        }
        OVATION_CO_TRY(auto now, co_await one(id, true));
        if (auto booked = co_await books_.settle(kind_text(now.kind()), id); !booked) {
            refuse(booked.error());
            continue;
        }
        OVATION_CO_TRY(auto after, co_await one(id, true));
        *out.add_cases() = std::move(after);
    }
    co_return out;
}

awaitable<result<std::vector<v1::Receivable>>> cases::receivables(std::string account, int* days) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::receivables, pg::with(account)));
    std::vector<v1::Receivable> out;
    for (int i = 0; i < r.size(); ++i) {
        auto& one = out.emplace_back();
        one.set_account(r.string(i, 0));
        one.set_name(r.string(i, 1));
        one.set_owed_micros(r.number(i, 2));
        one.set_due_micros(r.number(i, 3));
        one.set_oldest_at_ms(r.number(i, 4));
        if (days) *days = static_cast<int>(r.number(i, 5));
    }
    co_return out;
}

awaitable<result<v1::ListReceivablesResponse>> cases::list_receivables(granted, v1::ListReceivablesRequest) {
    v1::ListReceivablesResponse out;
    int days = 0;
    OVATION_CO_TRY(auto found, co_await receivables("", &days));
    for (auto& one : found) *out.add_receivables() = std::move(one);
    out.set_write_off_days(days);
    co_return out;
}

awaitable<result<v1::Receivable>> cases::write_off(granted who, v1::WriteOffRequest request) {
    const auto key = uuid::parse(request.key());
    if (!key) co_return invalid("key", "must be a UUID that the client makes for this.");
    if (!request.account().starts_with("receivable:") || request.account().size() > 60) co_return invalid("account", "the name of a receivable, as receivable:7.");
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::write_off, pg::with(key->text(), request.account(), who.user(), request.reason())));
    if (!r.text(0, 1).empty()) co_return refusal(r.text(0, 1));
    OVATION_CO_CHECK(co_await books_.settle("write_off", r.number(0, 0)));
    OVATION_CO_TRY(auto left, co_await receivables(request.account(), nullptr));
    if (!left.empty()) co_return std::move(left.front());
    v1::Receivable nothing;
    nothing.set_account(request.account());
    co_return nothing;
}

awaitable<result<void>> cases::sweep() {
    OVATION_CO_TRY(auto counts, co_await home_.db.query(sql::case_counts, {}));
    OVATION_CO_TRY(auto rates, co_await home_.db.query(sql::case_rates, {}));
    open_cases_.set(counts.number(0, 0));
    overdue_.set(counts.number(0, 1));
    refunds_open_.set(counts.number(0, 3));
    std::int64_t worst = 0, alarm = 0;
    for (int i = 0; i < rates.size(); ++i) {
        worst = std::max(worst, rates.number(i, 3));
        alarm = rates.number(i, 4);
    }
    worst_rate_.set(worst);
    // Once for each time that it grows.
    if (const auto late = counts.number(0, 1); late > std::exchange(told_overdue_, late)) log::error("payments", "cases_overdue", "cases={}", late);
    if (const auto now = worst >= alarm ? worst : 0; now > std::exchange(told_rate_, now)) log::error("payments", "dispute_rate", "rate_bp={} alarm_bp={}", now, alarm);
    co_return result<void>{};
}

}  // namespace ovation::payments
