#include "payments/service.hpp"

#include <spdlog/fmt/fmt.h>

#include "base/log.hpp"
#include "base/money.hpp"
#include "payments/sql.hpp"

namespace ovation::payments {

service::service(service_parts parts) : p_(std::move(parts)), orders_(p_.clock, limits::top_ups_per_user.times(p_.rate_factor)) {
    if (!p_.sandbox_key.empty()) sandbox_ = std::make_unique<sandbox::way_to_pay>(p_.sandbox_key);
}
const provider* service::way(std::string_view name) const {
    if (name == "sandbox") return sandbox_.get();
    if (!p_.ways) return nullptr;
    const auto at = p_.ways->find(name);
    return at == p_.ways->end() ? nullptr : at->second.get();
}

void service::register_with(rpc_table& table, access_gate& gate) {
    const std::string prefix = "/ovation.v1.PaymentService/";
    bind_rpc(table, prefix + "ListCoinPacks", *this, &service::list_packs);
    bind_rpc(table, prefix + "CreateTopUp", *this, &service::create);
    bind_rpc(table, prefix + "GetTopUp", *this, &service::get);
    bind_rpc(table, prefix + "PaySandboxOrder", *this, &service::pay_sandbox);
    gate.resolve(v1::RELATION_OWN, "order_id", access_gate::by_row(p_.all, sql::is_order_owner));
}

awaitable<result<v1::ListCoinPacksResponse>> service::list_packs(granted, v1::ListCoinPacksRequest) {
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::list_packs, {}));
    v1::ListCoinPacksResponse out;
    for (int i = 0; i < r.size(); ++i) {
        auto& pack = *out.add_packs();
        pack.set_id(r.number(i, 0));
        pack.set_coins(r.number(i, 1));
        pack.set_price_minor(r.number(i, 2));
        pack.set_currency("CNY");
    }
    co_return out;
}

awaitable<result<v1::TopUp>> service::order(order_id id) {
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::get_order, pg::with(id)));
    if (r.empty()) co_return not_found("This order");
    v1::TopUp out;
    out.set_order_id(id.value);
    out.set_state(r.text(0, 1) == "paid" ? v1::TOP_UP_STATE_PAID : r.text(0, 1) == "failed" ? v1::TOP_UP_STATE_FAILED : v1::TOP_UP_STATE_CREATED);
    out.set_coins(r.number(0, 2));
    out.set_price_minor(r.number(0, 3));
    out.set_currency(r.string(0, 4));
    out.set_provider(r.string(0, 5));
    out.set_entry_seq(r.number(0, 6));
    out.set_balance_coins(r.number(0, 7) / micros_per_coin);
    // Elsewhere the payment begins at the provider, with our number.
    if (out.state() == v1::TOP_UP_STATE_CREATED && out.provider() == "sandbox") out.set_pay_url(fmt::format("/pay/{}/{}", out.provider(), id.value));
    co_return out;
}

awaitable<result<v1::TopUp>> service::create(granted who, v1::CreateTopUpRequest request) {
    const auto key = uuid::parse(request.key());
    if (!key) co_return invalid("key", "must be a UUID that the client makes for this order.");
    if (!way(request.provider())) co_return invalid("provider", "this server does not know this way to pay.");
    if (const auto wait = orders_.take(who.user()); wait > 0) co_return exhausted("too_many_top_ups", "Too many orders in a short time. Try again later.", wait);
    OVATION_CO_TRY(auto made, co_await p_.all.db().query(sql::create_order, pg::with(who.user(), key->text(), request.pack_id(), request.provider())));
    OVATION_CO_TRY(auto known, co_await p_.all.db().query(sql::order_by_key, pg::with(who.user(), key->text())));
    if (known.empty()) co_return invalid("pack_id", "there is no such coin pack.");
    if (known.number(0, 1) != request.pack_id()) co_return precondition("key_reused", "This key belongs to another order. Make a new key.");
    co_return co_await order(order_id(known.number(0, 0)));
}

awaitable<result<v1::TopUp>> service::get(granted, v1::GetTopUpRequest request) { co_return co_await order(order_id(request.order_id())); }

awaitable<result<v1::TopUp>> service::pay_sandbox(granted, v1::PaySandboxOrderRequest request) {
    if (p_.sandbox_key.empty()) co_return denied("no_sandbox", "The sandbox exists only on a demo server.");
    const order_id id(request.order_id());
    OVATION_CO_TRY(const auto before, co_await order(id));
    // What a provider would post to us, through the same door.
    const notification n{fmt::format("sandbox-{}", id.value), id.value, before.price_minor(), before.currency()};
    const auto body = sandbox::body_of(n);
    const auto timestamp = std::to_string(p_.clock.now_ms() / 1000);
    const std::map<std::string, std::string> headers{{"webhook-id", n.event_id}, {"webhook-timestamp", timestamp}, {"webhook-signature", sandbox::sign(p_.sandbox_key, n.event_id, timestamp, body)}};
    OVATION_CO_CHECK(co_await notified("sandbox", [&](const std::string& name) { return std::string_view(headers.at(name)); }, body));
    co_return co_await order(id);
}

awaitable<result<std::string_view>> service::notified(std::string provider, std::function<std::string_view(const std::string&)> header, std::string body) {
    const auto* from = way(provider);
    if (!from) co_return not_found("This provider");
    auto read = from->read({std::move(header), body}, p_.clock.now_ms());
    if (!read) {
        log::warn("payments", "notification_refused", "provider={} reason={}", provider, read.error().reason);
        co_return read.error();
    }
    const auto& n = *read;
    pg::params stored = pg::with(provider, n.event_id);
    stored.add_bytes(body);
    std::vector<pg::request> both;
    both.push_back({&sql::store_notification, std::move(stored)});
    both.push_back({&sql::notification_raw, pg::with(provider, n.event_id)});
    OVATION_CO_TRY(auto r, co_await p_.all.db().run(std::move(both)));
    if (r[1].boolean(0, 0)) co_return from->thanks();  // done before
    auto credited = n.order == 0 ? result<void>{} : co_await credit(provider, n);
    // What can never succeed is written down and not asked for again; the rest stays open for the provider's next try.
    const bool over = credited || !credited.error().retryable;
    if (over) {
        const std::string outcome = !credited ? credited.error().reason : n.order == 0 ? "no_payment" : "credited";
        OVATION_CO_CHECK(co_await p_.all.db().query(sql::notification_done, pg::with(provider, n.event_id, outcome)));
    }
    if (!credited) co_return credited.error();
    co_return from->thanks();
}

awaitable<result<void>> service::credit(std::string provider, notification n) {
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::get_order, pg::with(n.order)));
    if (r.empty() || r.text(0, 5) != provider) co_return not_found("This order");
    if (r.number(0, 3) != n.amount_minor || r.text(0, 4) != n.currency) {
        log::error("payments", "amount_differs", "order={} ours={} theirs={}", n.order, r.number(0, 3), n.amount_minor);
        co_return precondition("amount_differs", "The amount or the currency differs from the order.");
    }
    const user_id user(r.number(0, 0));
    const auto amount = r.number(0, 2) * micros_per_coin;
    ledger::entry_command entry;
    entry.kind = "topup";
    entry.key = fmt::format("topup:{}", n.order);
    entry.legs = {{"cash:" + provider, -amount}, {fmt::format("wallet:{}", user.value), amount}};
    entry.reference = fmt::format("order:{}", n.order);
    entry.detail_json = fmt::format(R"({{"lot":{{"paid_minor":{},"currency":"{}","provider":"{}","provider_fee_minor":0,"payer":{}}}}})", n.amount_minor, n.currency, provider, user.value);
    OVATION_CO_TRY(const auto posted, co_await p_.queue.post(std::move(entry)));
    if (posted.state != ledger::status::posted && posted.state != ledger::status::replayed)
        co_return internal_fault("The top-up could not be posted.");
    OVATION_CO_CHECK(co_await p_.all.db().query(sql::order_paid, pg::with(n.order, posted.seq.value)));
    log::info("payments", "top_up_paid", "order={} user_id={} entry_seq={} replayed={}", n.order, user.value, posted.seq.value, posted.state == ledger::status::replayed);
    co_return result<void>{};
}

}  // namespace ovation::payments
