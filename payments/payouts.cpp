#include "payments/payouts.hpp"

#include <spdlog/fmt/fmt.h>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/uuid.hpp"
#include "payments/bank_file.hpp"
#include "payments/internal/enum_text.hpp"
#include "payments/provider.hpp"
#include "payments/sql.hpp"

namespace ovation::payments {
namespace {
constexpr std::string_view payout_state_prefix = "PAYOUT_STATE_";
constexpr int shown_max = 50;

v1::PayoutState state_of(std::string_view text) { return enum_of<v1::PayoutState>(text, payout_state_prefix); }

v1::TaxSum tax_of(const pg::rows& r, int i, int scheme, int first, int terms) {
    v1::TaxSum t;
    t.set_scheme(r.string(i, scheme));
    t.set_year(static_cast<int>(r.number(i, first)));
    t.set_months(static_cast<int>(r.number(i, first + 1)));
    t.set_income_minor(r.number(i, first + 2));
    t.set_taxable_minor(r.number(i, first + 3));
    t.set_rate_bp(static_cast<int>(r.number(i, first + 4)));
    t.set_quick_minor(r.number(i, first + 5));
    t.set_withheld_before_minor(r.number(i, first + 6));
    t.set_withheld_minor(r.number(i, first + 7));
    t.set_income_bp(static_cast<int>(r.number(i, terms)));
    t.set_monthly_minor(r.number(i, terms + 1));
    return t;
}
std::string file_name(std::int64_t batch) { return fmt::format("ovation-payouts-{}.xml", batch); }
}  // namespace

payouts::payouts(cores& all, core& home, steps& books, metrics& registry, std::string time_zone)
    : all_(all), home_(home), books_(books), time_zone_(std::move(time_zone)), waiting_(registry.make_gauge("ovation_payouts_open", "Payouts that are not over.")) {}

void payouts::register_with(rpc_table& table, access_gate& gate) {
    const std::string prefix = "/ovation.v1.PayoutService/";
    bind_rpc(table, prefix + "GetEarnings", *this, &payouts::earnings);
    bind_rpc(table, prefix + "SetPayee", *this, &payouts::set_payee);
    bind_rpc(table, prefix + "RequestPayout", *this, &payouts::request);
    bind_rpc(table, prefix + "GetPayout", *this, &payouts::get);
    bind_rpc(table, prefix + "CancelPayout", *this, &payouts::cancel);
    bind_rpc(table, prefix + "ListPayouts", *this, &payouts::list);
    bind_rpc(table, prefix + "ListPayees", *this, &payouts::list_payees);
    bind_rpc(table, prefix + "VerifyPayee", *this, &payouts::verify_payee);
    bind_rpc(table, prefix + "DecidePayout", *this, &payouts::decide);
    bind_rpc(table, prefix + "SubmitPayouts", *this, &payouts::submit);
    bind_rpc(table, prefix + "GetPayoutBatch", *this, &payouts::get_batch);
    bind_rpc(table, prefix + "SettlePayout", *this, &payouts::settle);
    gate.resolve(v1::RELATION_OWN, "payout_id", access_gate::by_row(all_, sql::is_payout_owner, v1::ROLE_FINANCE));
}

awaitable<result<std::vector<v1::Payee>>> payouts::payees(std::vector<std::int64_t> users, bool whole) {
    std::string ids = "{";
    for (const auto id : users) ids += (ids.size() > 1 ? "," : "") + std::to_string(id);
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::payees, pg::params().add_raw(ids + "}")));
    std::vector<v1::Payee> out;
    for (int i = 0; i < r.size(); ++i) {
        auto& y = out.emplace_back();
        y.set_user_id(r.number(i, 0));
        y.set_version(static_cast<int>(r.number(i, 1)));
        y.set_method(r.string(i, 2));
        y.set_holder(r.string(i, 3));
        const auto account = r.string(i, 4);
        y.set_account(whole ? account : account.substr(account.size() - 4));
        y.set_bank(r.string(i, 5));
        y.set_tax_scheme(r.string(i, 6));
        y.set_verified(r.boolean(i, 7));
        y.set_refused(r.string(i, 8));
        y.set_changed_at_ms(r.number(i, 9));
        y.set_holds_until_ms(r.number(i, 10));
        y.set_name(r.string(i, 11));
        y.set_handle(r.string(i, 12));
    }
    co_return out;
}

awaitable<result<std::vector<v1::Payout>>> payouts::read(std::int64_t id, user_id user, std::string state, int limit, bool steps_too) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::payouts_by, pg::with(id, user, state, limit)));
    std::vector<v1::Payout> out;
    std::string ids = "{";
    for (int i = 0; i < r.size(); ++i) {
        auto& p = out.emplace_back();
        p.set_id(r.number(i, 0));
        p.set_state(state_of(r.text(i, 1)));
        p.set_gross_minor(r.number(i, 2));
        p.set_recovered_minor(r.number(i, 3));
        p.set_withheld_minor(r.number(i, 4));
        p.set_net_minor(r.number(i, 5));
        p.set_currency("CNY");
        p.set_origin(r.string(i, 6));
        p.set_created_at_ms(r.number(i, 7));
        p.set_user_id(r.number(i, 8));
        p.set_name(r.string(i, 9));
        p.set_handle(r.string(i, 10));
        p.set_approvals(static_cast<int>(r.number(i, 11)));
        p.set_approvals_needed(static_cast<int>(r.number(i, 12)));
        p.set_held_until_ms(r.number(i, 13));
        if (r.number(i, 14) > 0) p.set_reference(fmt::format("PO{}-{}", p.id(), r.number(i, 14)));
        if (!r.null(i, 15)) *p.mutable_tax() = tax_of(r, i, 15, 16, 24);
        p.set_batch_id(r.number(i, 26));
        ids += fmt::format("{}{}", i == 0 ? "" : ",", p.id());
    }
    if (steps_too && !out.empty()) {
        OVATION_CO_TRY(auto s, co_await all_.db().query(sql::steps_of, pg::with("payout").add_raw(ids + "}")));
        for (int i = 0; i < s.size(); ++i) {
            const auto of = std::ranges::find(out, s.number(i, 0), [](const v1::Payout& p) { return p.id(); });
            if (of == out.end()) continue;
            auto& step = *of->add_steps();
            step.set_state(state_of(s.text(i, 1)));
            step.set_at_ms(s.number(i, 2));
            step.set_entry_seq(s.number(i, 3));
            step.set_reason(s.string(i, 4));
            step.set_actor(s.string(i, 5));
        }
    }
    co_return out;
}

awaitable<result<v1::Payout>> payouts::one(std::int64_t id, bool whole) {
    OVATION_CO_TRY(auto found, co_await read(id, {}, "", 1, true));
    if (id <= 0 || found.empty()) co_return not_found("This payout");
    auto out = std::move(found.front());
    OVATION_CO_TRY(auto payee, co_await payees({out.user_id()}, whole));
    if (!payee.empty()) *out.mutable_payee() = std::move(payee.front());
    if (!whole)
        for (auto& step : *out.mutable_steps()) step.clear_actor();
    co_return out;
}

awaitable<result<v1::Earnings>> payouts::earnings(granted who, v1::GetEarningsRequest) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::payable, pg::with(who.user(), time_zone_)));
    v1::Earnings out;
    out.set_earnings_micros(r.number(0, 0));
    out.set_maturing_micros(r.number(0, 1));
    out.set_available_minor(r.number(0, 2));
    out.set_owed_micros(r.number(0, 3));
    out.set_maturity_days(static_cast<int>(r.number(0, 4)));
    out.set_threshold_minor(r.number(0, 5));
    out.set_recover_bp(static_cast<int>(r.number(0, 6)));
    out.set_on_the_way_minor(r.number(0, 7));
    out.set_held_micros(r.number(0, 8));
    out.set_next_run(r.string(0, 9));
    if (!r.null(0, 10)) *out.mutable_tax_if_now() = tax_of(r, 0, 18, 10, 19);
    OVATION_CO_TRY(auto payee, co_await payees({who.user().value}, false));
    if (!payee.empty()) *out.mutable_payee() = std::move(payee.front());
    OVATION_CO_TRY(auto mine, co_await read(0, who.user(), "", shown_max, true));
    for (auto& p : mine) {
        for (auto& step : *p.mutable_steps()) step.clear_actor();
        *out.add_payouts() = std::move(p);
    }
    OVATION_CO_TRY(auto told, co_await all_.db().query(sql::notices_of, pg::with(who.user())));
    for (int i = 0; i < told.size(); ++i) {
        auto& n = *out.add_notices();
        n.set_id(told.number(i, 0));
        n.set_at_ms(told.number(i, 1));
        n.set_what(told.string(i, 2));
        n.set_case_id(told.number(i, 3));
        n.set_amount_micros(told.number(i, 4));
        n.set_reason(told.string(i, 5));
    }
    co_return out;
}

awaitable<result<v1::Payee>> payouts::set_payee(granted who, v1::SetPayeeRequest request) {
    if (request.method() != "bank" && request.method() != "alipay" && request.method() != "wechat_pay") co_return invalid("method", "one of bank, alipay, wechat_pay.");
    const auto shown = [](std::string_view t) { return std::ranges::none_of(t, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }); };
    if (const auto n = text::characters(request.holder()); !n || *n < 2 || *n > 80 || !shown(request.holder())) co_return invalid("holder", "the name on the account, 2 to 80 characters.");
    const auto plain = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '@' || c == '.' || c == '_' || c == '-' || c == '+'; };
    if (request.account().size() < 4 || request.account().size() > 40 || !std::ranges::all_of(request.account(), plain)) co_return invalid("account", "4 to 40 letters and digits, without blanks.");
    if (const auto n = text::characters(request.bank()); !n || *n > 40 || !shown(request.bank()) || (request.method() == "bank" && *n == 0)) co_return invalid("bank", "the bank's code or name, up to 40 characters; needed for a bank account.");
    if (request.tax_scheme() != "cn_labour" && request.tax_scheme() != "none") co_return invalid("tax_scheme", "one of cn_labour (a person), none (an enterprise that sends invoices).");
    OVATION_CO_CHECK(co_await all_.db().query(sql::set_payee, pg::with(who.user(), request.method(), request.holder(), request.account(), request.bank(), request.tax_scheme())));
    OVATION_CO_TRY(auto now, co_await payees({who.user().value}, false));
    if (now.empty()) co_return internal_fault("the payee is gone");
    co_return std::move(now.front());
}

awaitable<result<v1::Payout>> payouts::request(granted who, v1::RequestPayoutRequest request) {
    const auto key = uuid::parse(request.key());
    if (!key) co_return invalid("key", "must be a UUID that the client makes for this payout.");
    if (request.amount_minor() < 0) co_return invalid("amount_minor", "must not be negative; 0 asks for all that is available.");
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::request_payout, pg::with(who.user(), key->text(), request.amount_minor(), time_zone_)));
    const auto problem = r.text(0, 1);
    if (problem == "no_payee") co_return precondition("no_payee", "Nobody knows yet whom to pay. Say first which account the money goes to.");
    if (problem == "key_reused") co_return precondition("key_reused", "This key belongs to another payout. Make a new key.");
    if (problem == "once_a_day") co_return precondition("once_a_day", "A payout can be asked for once a day. The next one tomorrow.");
    if (problem == "not_available") co_return precondition("not_available", fmt::format("{} CNY are available now. The rest is younger than it must be, held, or already asked for.", decimal_of(r.number(0, 2))));
    if (problem == "below_threshold") co_return precondition("below_threshold", fmt::format("A payout begins at {} CNY.", decimal_of(r.number(0, 2))));
    const auto id = r.number(0, 0);
    OVATION_CO_CHECK(co_await advance(id));
    co_return co_await one(id, false);
}

awaitable<result<v1::Payout>> payouts::get(granted who, v1::GetPayoutRequest request) { co_return co_await one(request.payout_id(), who.who().roles.has(v1::ROLE_FINANCE)); }

awaitable<result<void>> payouts::move(std::int64_t id, std::string from, std::string to, mover by) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::move_payout, pg::with(id, "{" + from + "}", to, by.actor, by.house, by.reason)));
    if (r.null(0, 0)) co_return precondition("wrong_state", "This payout has gone on meanwhile. Look at it again.");
    co_return co_await advance(id);
}

awaitable<result<void>> payouts::advance(std::int64_t id) {
    for (;;) {
        OVATION_CO_CHECK(co_await books_.settle("payout", id));
        OVATION_CO_TRY(auto now, co_await read(id, {}, "", 1, false));
        if (now.empty()) co_return not_found("This payout");
        if (now.front().state() == v1::PAYOUT_STATE_REQUESTED) {
            OVATION_CO_CHECK(co_await all_.db().query(sql::move_payout, pg::with(id, "{requested}", "risk_review", 0, false, "")));
        } else if (now.front().state() == v1::PAYOUT_STATE_APPROVED) {
            OVATION_CO_CHECK(co_await all_.db().query(sql::compute_tax, pg::with(id, time_zone_)));
        } else {
            co_return result<void>{};
        }
    }
}

awaitable<result<v1::Payout>> payouts::cancel(granted who, v1::CancelPayoutRequest request) {
    const bool house = access_gate::of_house(who.who());
    OVATION_CO_CHECK(co_await move(request.payout_id(), "requested,risk_review,approved,tax_computed,held", "cancelled", {who.user(), house, "cancelled by request"}));
    co_return co_await one(request.payout_id(), false);
}

awaitable<result<v1::ListPayoutsResponse>> payouts::list(granted, v1::ListPayoutsRequest request) {
    if (request.limit() < 0 || request.limit() > limits::money_listed_max) co_return invalid("limit", fmt::format("0 to {}.", limits::money_listed_max));
    if (!v1::PayoutState_IsValid(request.state())) co_return invalid("state", "is none that a payout has.");
    OVATION_CO_TRY(auto found, co_await read(0, {}, request.state() == v1::PAYOUT_STATE_UNSPECIFIED ? "open" : enum_text(request.state(), payout_state_prefix), request.limit() == 0 ? shown_max : request.limit(), true));
    std::vector<std::int64_t> users;
    for (const auto& p : found) users.push_back(p.user_id());
    OVATION_CO_TRY(const auto of, co_await payees(std::move(users), true));
    v1::ListPayoutsResponse out;
    for (auto& p : found) {
        if (const auto at = std::ranges::find(of, p.user_id(), [](const v1::Payee& y) { return y.user_id(); }); at != of.end()) *p.mutable_payee() = *at;
        *out.add_payouts() = std::move(p);
    }
    co_return out;
}

awaitable<result<v1::ListPayeesResponse>> payouts::list_payees(granted, v1::ListPayeesRequest) {
    OVATION_CO_TRY(auto found, co_await payees({}, true));
    v1::ListPayeesResponse out;
    for (auto& y : found) *out.add_payees() = std::move(y);
    co_return out;
}

awaitable<result<v1::Payee>> payouts::verify_payee(granted who, v1::VerifyPayeeRequest request) {
    if (user_id(request.user_id()) == who.user()) co_return denied("own_payee", "Somebody else must verify your own account.");
    OVATION_CO_TRY(auto done, co_await all_.db().query(sql::verify_payee, pg::with(request.user_id(), request.version(), request.refuse(), who.user(), request.reason())));
    if (done.empty()) co_return precondition("wrong_version", "The payee was changed meanwhile. Look at the new account first.");
    OVATION_CO_TRY(auto now, co_await payees({request.user_id()}, true));
    if (now.empty()) co_return not_found("This payee");
    co_return std::move(now.front());
}

awaitable<result<v1::Payout>> payouts::decide(granted who, v1::DecidePayoutRequest request) {
    const auto id = request.payout_id();
    const mover by{who.user(), true, request.reason()};
    OVATION_CO_TRY(const auto before, co_await one(id, true));
    if (user_id(before.user_id()) == who.user()) co_return denied("own_payout", "Somebody else must decide about your own payout.");
    switch (request.decision()) {
        case v1::PAYOUT_DECISION_APPROVE: {
            if (before.state() != v1::PAYOUT_STATE_RISK_REVIEW) co_return precondition("wrong_state", "Only a payout under review can be approved.");
            if (!before.payee().verified()) co_return precondition("payee_not_verified", "The account that it goes to is not verified. Verify the payee first.");
            OVATION_CO_TRY(auto mine, co_await all_.db().query(sql::approve_payout, pg::with(id, who.user(), request.reason())));
            if (mine.empty()) co_return precondition("wrong_state", "This payout has gone on meanwhile. Look at it again.");
            if (mine.number(0, 2) == 0 && before.approvals() < before.approvals_needed()) co_return denied("second_person", "You have approved it. Above this sum another person must approve it, too.");
            OVATION_CO_TRY(const auto now, co_await one(id, true));
            if (now.approvals() >= now.approvals_needed()) OVATION_CO_CHECK(co_await move(id, "risk_review", "approved", by));
            break;
        }
        case v1::PAYOUT_DECISION_REJECT: OVATION_CO_CHECK(co_await move(id, "risk_review,approved,tax_computed,held", "rejected", by)); break;
        case v1::PAYOUT_DECISION_HOLD: OVATION_CO_CHECK(co_await move(id, "risk_review,approved,tax_computed", "held", by)); break;
        case v1::PAYOUT_DECISION_RESUME: {
            OVATION_CO_TRY(auto held, co_await all_.db().query(sql::held_from, pg::with(id)));
            if (held.empty()) co_return precondition("wrong_state", "This payout is not held.");
            OVATION_CO_CHECK(co_await move(id, "held", held.string(0, 0), by));
            break;
        }
        default: co_return invalid("decision", "one of APPROVE, REJECT, HOLD, RESUME.");
    }
    co_return co_await one(id, true);
}

awaitable<result<v1::PayoutBatch>> payouts::batch(std::int64_t id) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::batch_items, pg::with(id, time_zone_)));
    if (r.empty()) co_return not_found("This batch");
    v1::PayoutBatch out;
    out.set_id(id);
    out.set_at_ms(r.number(0, 7));
    std::vector<bank_payment> items;
    for (int i = 0; i < r.size() && !r.null(i, 0); ++i) {
        items.push_back({fmt::format("PO{}-{}", r.number(i, 0), r.number(i, 1)), r.number(i, 2), r.string(i, 4), r.string(i, 5), r.string(i, 6), r.string(i, 3)});
        out.set_sum_minor(out.sum_minor() + r.number(i, 2));
    }
    out.set_payouts(static_cast<int>(items.size()));
    if (!items.empty()) {
        out.set_file(pain_001(fmt::format("OVATION-{}", id), r.string(0, 8), r.string(0, 9), "CNY", items));
        out.set_file_name(file_name(id));
    }
    co_return out;
}

awaitable<result<v1::PayoutBatch>> payouts::submit(granted who, v1::SubmitPayoutsRequest request) {
    const auto key = uuid::parse(request.key());
    if (!key) co_return invalid("key", "must be a UUID that the client makes for this batch.");
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::submit_payouts, pg::with(key->text(), who.user(), request.reason())));
    const auto id = r.number(0, 0);
    OVATION_CO_TRY(auto items, co_await all_.db().query(sql::batch_items, pg::with(id, time_zone_)));
    for (int i = 0; i < items.size() && !items.null(i, 0); ++i) OVATION_CO_CHECK(co_await books_.settle("payout", items.number(i, 0)));
    co_return co_await batch(id);
}

awaitable<result<v1::PayoutBatch>> payouts::get_batch(granted, v1::GetPayoutBatchRequest request) { co_return co_await batch(request.batch_id()); }

awaitable<result<v1::Payout>> payouts::settle(granted who, v1::SettlePayoutRequest request) {
    const auto id = request.payout_id();
    const mover by{who.user(), true, request.reason()};
    OVATION_CO_TRY(const auto of, co_await one(id, true));
    if (user_id(of.user_id()) == who.user()) co_return denied("own_payout", "Somebody else must decide about your own payout.");
    switch (request.answer()) {
        case v1::BANK_ANSWER_ACCEPTED: OVATION_CO_CHECK(co_await move(id, "submitted", "in_transit", by)); break;
        case v1::BANK_ANSWER_PAID: {
            OVATION_CO_TRY(const auto before, co_await one(id, true));
            if (before.state() == v1::PAYOUT_STATE_SUBMITTED) OVATION_CO_CHECK(co_await move(id, "submitted", "in_transit", by));
            OVATION_CO_CHECK(co_await move(id, "in_transit", "paid", by));
            break;
        }
        case v1::BANK_ANSWER_FAILED: OVATION_CO_CHECK(co_await move(id, "submitted,in_transit", "failed", by)); break;
        case v1::BANK_ANSWER_RETURNED: OVATION_CO_CHECK(co_await move(id, "paid", "returned", by)); break;
        case v1::BANK_ANSWER_UNKNOWN_THERE: OVATION_CO_CHECK(co_await move(id, "submitted", "tax_computed", by)); break;
        default: co_return invalid("answer", "one of ACCEPTED, PAID, FAILED, RETURNED, UNKNOWN_THERE.");
    }
    co_return co_await one(id, true);
}

awaitable<result<void>> payouts::sweep() {
    OVATION_CO_TRY(auto ran, co_await home_.db.query(sql::monthly_run, pg::with(time_zone_)));
    if (!ran.null(0, 0)) log::info("payments", "monthly_run", "payouts={}", ran.number(0, 0));
    OVATION_CO_TRY(auto over, co_await home_.db.query(sql::payouts_held_over, {}));
    for (int i = 0; i < over.size(); ++i) OVATION_CO_CHECK(co_await move(over.number(i, 0), "held", over.string(i, 1), {{}, false, "held_long_enough"}));
    OVATION_CO_TRY(auto due, co_await home_.db.query(sql::payouts_due, {}));
    for (int i = 0; i < due.size(); ++i)
        if (auto gone = co_await advance(due.number(i, 0)); !gone) log::warn("payments", "payout_stands", "payout={} err={}", due.number(i, 0), log::quoted(gone.error().in_full()));
    OVATION_CO_TRY(auto counts, co_await home_.db.query(sql::case_counts, {}));
    waiting_.set(counts.number(0, 2));
    co_return result<void>{};
}

}  // namespace ovation::payments
