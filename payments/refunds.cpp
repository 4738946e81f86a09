// Money that the books gave back, sent where it came from: by its provider, asked until it answers; by hand where there is none.
// One number is one refund, here and there, so that asking again sends nothing twice.
#include <spdlog/fmt/fmt.h>

#include "base/log.hpp"
#include "base/text.hpp"
#include "payments/internal/enum_text.hpp"
#include "payments/service.hpp"
#include "payments/sql.hpp"

namespace ovation::payments {
namespace {
constexpr std::string_view refund_state_prefix = "REFUND_STATE_";
constexpr std::size_t reference_min = 3, reference_max = 64;

v1::Refund refund_of(const pg::rows& r, int i) {
    v1::Refund out;
    out.set_id(r.number(i, 0));
    out.set_case_id(r.number(i, 1));
    out.set_order_id(r.number(i, 2));
    out.set_name(r.string(i, 3));
    out.set_provider(r.string(i, 4));
    out.set_amount_minor(r.number(i, 5));
    out.set_currency(r.string(i, 6));
    out.set_state(enum_of<v1::RefundState>(r.text(i, 7), refund_state_prefix));
    out.set_reference(r.string(i, 8));
    out.set_why(r.string(i, 9));
    out.set_tries(static_cast<int>(r.number(i, 10)));
    out.set_made_at_ms(r.number(i, 11));
    out.set_sent_at_ms(r.number(i, 12));
    return out;
}
}  // namespace

awaitable<result<v1::ListRefundsResponse>> service::list_refunds(granted, v1::ListRefundsRequest request) {
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::refunds_by, pg::with(0, request.sent())));
    v1::ListRefundsResponse out;
    for (int i = 0; i < r.size(); ++i) *out.add_refunds() = refund_of(r, i);
    co_return out;
}

awaitable<result<v1::Refund>> service::settle_refund(granted who, v1::SettleRefundRequest request) {
    if (request.refund_id() <= 0) co_return not_found("This refund");
    const auto length = text::characters(request.reference());
    if (!length || text::has_control(request.reference()) || *length > reference_max || (*length > 0 && *length < reference_min))
        co_return invalid("reference", fmt::format("{} to {} characters, or none.", reference_min, reference_max));
    OVATION_CO_TRY(auto done, co_await p_.all.db().query(sql::settle_refund, pg::with(request.refund_id(), request.reference(), who.user(), request.reason())));
    const auto problem = done.text(0, 0);
    if (problem == "not_found") co_return not_found("This refund");
    if (problem == "own_money") co_return denied("own_money", "Somebody else must decide about your own money.");
    if (problem == "wrong_state") co_return precondition("wrong_state", "The refund was sent, or its provider is being asked and nobody knows the answer yet. Look at it again.");
    if (request.reference().empty()) OVATION_CO_CHECK(co_await send_refund(request.refund_id()));
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::refunds_by, pg::with(request.refund_id(), false)));
    if (r.empty()) co_return not_found("This refund");
    co_return refund_of(r, 0);
}

awaitable<result<void>> service::send_refund(std::int64_t id) {
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::refund_begin, pg::with(id)));
    if (r.empty()) co_return result<void>{};
    const auto* from = way(r.text(0, 0));
    const refund_order what{{r.number(0, 1), r.number(0, 2), r.string(0, 3), r.string(0, 4)}, id, r.number(0, 5), r.string(0, 6)};
    auto answer = from ? co_await from->refund(what, p_.clock.now_ms()) : result<std::optional<refund_standing>>(std::nullopt);
    std::string_view state = "to_send";
    refund_standing stands{refund_standing::state::open, {}, "by hand"};
    if (!answer) stands.why = answer.error().in_full();
    else if (*answer) stands = **answer;
    if (stands.now == refund_standing::state::sent) state = "sent";
    if (stands.now == refund_standing::state::refused || (answer && !*answer)) state = "refused";
    OVATION_CO_CHECK(co_await p_.all.db().query(sql::refund_answered, pg::with(id, state, stands.reference, stands.why)));
    log::info("payments", "refund", "refund={} order={} state={} why={}", id, what.of.id, state, log::quoted(stands.why));
    co_return result<void>{};
}

awaitable<result<void>> service::send_refunds() {
    std::string names = "{sandbox";
    if (p_.ways)
        for (const auto& [name, unused] : *p_.ways) names += "," + name;
    OVATION_CO_TRY(auto due, co_await p_.all.db().query(sql::refunds_due, pg::params().add_raw(names + "}")));
    for (int i = 0; i < due.size(); ++i)
        if (auto sent = co_await send_refund(due.number(i, 0)); !sent) log::warn("payments", "refund_not_sent", "refund={} err={}", due.number(i, 0), log::quoted(sent.error().in_full()));
    co_return result<void>{};
}

}  // namespace ovation::payments
