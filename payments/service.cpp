#include "payments/service.hpp"

#include <spdlog/fmt/fmt.h>

#include "base/log.hpp"
#include "base/crypto.hpp"
#include "base/money.hpp"
#include "payments/bank_file.hpp"
#include "payments/settlement_file.hpp"
#include "payments/sql.hpp"

namespace ovation::payments {
namespace {
// What can never succeed. A fault of ours is none: what was paid is asked for again until it is credited.
bool is_final(const fault& why) { return !why.retryable && why.kind != code::internal; }
// OV<order>-<two digits that find a slip of the pen> (ISO 7064, 97-10).
std::string transfer_reference(std::int64_t order) { return fmt::format("OV{}-{:02}", order, 98 - order * 100 % 97); }
// The order that a text names; 0: none.
std::int64_t named_in(std::string_view text) {
    for (auto at = text.find("OV"); at != text.npos; at = text.find("OV", at + 1)) {
        const auto rest = text.substr(at + 2);
        const auto digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
        const auto order = digits > 0 && digits < 18 ? order_of(rest.substr(0, digits)) : 0;
        if (order > 0 && text.substr(at).starts_with(transfer_reference(order))) return order;
    }
    return 0;
}
}  // namespace

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
    bind_rpc(table, prefix + "GrantBonus", *this, &service::grant_bonus);
    bind_rpc(table, prefix + "ListBonus", *this, &service::list_bonus);
    bind_rpc(table, prefix + "ImportBankFile", *this, &service::import_bank_file);
    bind_rpc(table, prefix + "ImportSettlement", *this, &service::import_settlement);
    bind_rpc(table, prefix + "ListRefunds", *this, &service::list_refunds);
    bind_rpc(table, prefix + "SettleRefund", *this, &service::settle_refund);
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
    if (out.state() == v1::TOP_UP_STATE_CREATED && out.provider() == "sandbox") out.set_pay_url(fmt::format("/pay/{}/{}", out.provider(), id.value));
    else if (out.state() == v1::TOP_UP_STATE_CREATED) out.set_pay_url(r.string(0, 8));
    if (out.provider() == "bank_transfer") {
        out.set_reference(transfer_reference(id.value));
        out.set_pay_to(p_.bank_account);
    }
    co_return out;
}

awaitable<result<v1::TopUp>> service::create(granted who, v1::CreateTopUpRequest request) {
    const auto key = uuid::parse(request.key());
    if (!key) co_return invalid("key", "must be a UUID that the client makes for this order.");
    const auto* through = way(request.provider());
    const bool by_bank = request.provider() == "bank_transfer" && !p_.bank_account.empty();
    if (!through && !by_bank) co_return invalid("provider", "this server does not know this way to pay.");
    if (const auto wait = orders_.take(who.user()); wait > 0) co_return exhausted("too_many_top_ups", "Too many orders in a short time. Try again later.", wait);
    OVATION_CO_TRY(auto made, co_await p_.all.db().query(sql::create_order, pg::with(who.user(), key->text(), request.pack_id(), request.provider())));
    OVATION_CO_TRY(auto known, co_await p_.all.db().query(sql::order_by_key, pg::with(who.user(), key->text())));
    if (known.empty()) co_return invalid("pack_id", "there is no such coin pack.");
    if (known.number(0, 1) != request.pack_id() || known.text(0, 2) != request.provider()) co_return precondition("key_reused", "This key belongs to another order. Make a new key.");
    const order_id id(known.number(0, 0));
    OVATION_CO_TRY(auto made_order, co_await order(id));
    if (!through || made_order.state() != v1::TOP_UP_STATE_CREATED || !made_order.pay_url().empty()) co_return made_order;
    OVATION_CO_TRY(const auto begun, co_await through->begin({id.value, made_order.price_minor(), made_order.currency(), {}}, p_.clock.now_ms()));
    if (!begun) co_return made_order;
    OVATION_CO_CHECK(co_await p_.all.db().query(sql::order_begun, pg::with(id, begun->reference, begun->pay_url)));
    co_return co_await order(id);
}

awaitable<result<v1::TopUp>> service::get(granted, v1::GetTopUpRequest request) {
    const order_id id(request.order_id());
    OVATION_CO_TRY(auto now, co_await order(id));
    // Whoever comes back from the provider's page need not wait for its notification.
    if (now.state() != v1::TOP_UP_STATE_CREATED) co_return now;
    if (auto asked = co_await ask_after(id.value); !asked) log::warn("payments", "not_asked", "order={} err={}", id.value, log::quoted(asked.error().in_full()));
    co_return co_await order(id);
}

awaitable<result<void>> service::ask_after(std::int64_t order) {
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::order_to_ask, pg::with(order, limits::top_up_asked_again_s)));
    if (r.empty()) co_return result<void>{};
    const auto name = r.string(0, 0);
    const auto* from = way(name);
    if (!from) co_return result<void>{};
    OVATION_CO_TRY(const auto standing, co_await from->ask({order, r.number(0, 1), r.string(0, 2), r.string(0, 3)}, p_.clock.now_ms()));
    if (!standing || standing->now == payment_standing::state::open) co_return result<void>{};
    if (standing->now == payment_standing::state::paid) co_return co_await credit(name, {{}, order, standing->amount_minor, standing->currency});
    OVATION_CO_CHECK(co_await p_.all.db().query(sql::order_over, pg::with(order, limits::top_up_over_after_s)));
    co_return result<void>{};
}

namespace {
std::vector<v1::Bonus> bonus_of(const pg::rows& r) {
    std::vector<v1::Bonus> out;
    for (int i = 0; i < r.size(); ++i) {
        auto& b = out.emplace_back();
        b.set_id(r.number(i, 0));
        b.set_coins(r.number(i, 1));
        b.set_left_coins(r.number(i, 2));
        b.set_granted_at_ms(r.number(i, 3));
        b.set_expires_at_ms(r.number(i, 4));
        b.set_reason(r.string(i, 5));
        b.set_entry_seq(r.number(i, 6));
    }
    return out;
}
}  // namespace

awaitable<result<v1::Bonus>> service::grant_bonus(granted who, v1::GrantBonusRequest request) {
    const auto key = uuid::parse(request.key());
    if (!key) co_return invalid("key", "must be a UUID that the client makes for this grant.");
    if (request.coins() < 1 || request.coins() > limits::bonus_coins_max) co_return invalid("coins", fmt::format("1 to {} coins.", limits::bonus_coins_max));
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::grant_bonus, pg::with(key->text(), request.user_id(), request.coins(), who.user(), request.reason())));
    if (r.text(0, 1) == "key_reused") co_return precondition("key_reused", "This key belongs to another grant. Make a new key.");
    if (r.text(0, 1) == "not_found") co_return not_found("A wallet of this user");
    if (r.text(0, 1) == "own_money") co_return denied("own_money", "Somebody else must decide about your own money.");
    OVATION_CO_CHECK(co_await p_.books->settle("bonus", r.number(0, 0)));
    OVATION_CO_TRY(auto now, co_await p_.all.db().query(sql::bonus_by, pg::with(r.number(0, 0), 0)));
    auto out = bonus_of(now);
    if (out.empty()) co_return internal_fault("the grant is gone");
    co_return std::move(out.front());
}

awaitable<result<v1::ListBonusResponse>> service::list_bonus(granted who, v1::ListBonusRequest) {
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::bonus_by, pg::with(0, who.user())));
    v1::ListBonusResponse out;
    for (auto& b : bonus_of(r)) *out.add_bonus() = std::move(b);
    co_return out;
}

awaitable<result<void>> service::sweep() {
    OVATION_CO_TRY(auto over, co_await p_.all.db().query(sql::bonus_over, {}));
    for (int i = 0; i < over.size(); ++i) {
        OVATION_CO_CHECK(co_await p_.all.db().query(sql::expire_bonus, pg::with(over.number(i, 0))));
        OVATION_CO_CHECK(co_await p_.books->settle("bonus", over.number(i, 0)));
    }
    OVATION_CO_CHECK(co_await p_.all.db().query(sql::return_bonus, {}));
    OVATION_CO_TRY(auto open, co_await p_.all.db().query(sql::orders_to_ask, pg::with(limits::top_up_asked_every_s)));
    for (int i = 0; i < open.size(); ++i)
        if (auto asked = co_await ask_after(open.number(i, 0)); !asked) log::warn("payments", "not_asked", "order={} err={}", open.number(i, 0), log::quoted(asked.error().in_full()));
    OVATION_CO_CHECK(co_await send_refunds());
    co_return result<void>{};
}

namespace {
// A file of some megabytes keeps a core from its rooms: read beside them, with its SHA-256.
template <class Read>
auto read_aside(worker_pool& workers, std::string file, Read read) {
    using rows = std::invoke_result_t<Read, std::string_view>;
    return workers.run([file = std::make_shared<const std::string>(std::move(file)), read = std::move(read)]() -> std::pair<rows, std::string> {
        try {
            return {read(*file), crypto::to_hex(crypto::sha256(*file))};
        } catch (const std::exception& e) {  // nobody else would catch it there
            return {internal_fault(e.what()), {}};
        }
    });
}
}  // namespace

awaitable<result<v1::ImportBankFileResponse>> service::import_bank_file(granted who, v1::ImportBankFileRequest request) {
    OVATION_CO_TRY(const auto file, co_await read_aside(p_.workers, std::move(*request.mutable_file()), read_camt_053));
    const auto& [read, digest] = file;
    if (!read) co_return invalid("file", read.error().message);
    v1::ImportBankFileResponse out;
    for (const auto& b : read->bookings) {
        v1::BankLine line;
        line.set_day(b.day);
        line.set_minor(b.minor);
        line.set_reference(b.reference);
        line.set_text(b.text);
        line.set_order_id(b.minor > 0 ? named_in(b.reference + " " + b.text) : 0);
        if (line.order_id() == 0) {
            line.set_why("no_order");
            *out.add_left() = std::move(line);
            continue;
        }
        if (auto credited = co_await credit("bank_transfer", {{}, line.order_id(), b.minor, read->currency}); !credited) {
            if (!is_final(credited.error())) co_return credited.error();
            line.set_why(credited.error().reason);
            *out.add_left() = std::move(line);
            continue;
        }
        OVATION_CO_CHECK(co_await p_.all.db().query(sql::note_bank_credit, pg::with(line.order_id(), b.booking)));
        OVATION_CO_TRY(auto by, co_await p_.all.db().query(sql::bank_credit_of, pg::with(line.order_id())));
        if (by.text(0, 0) != b.booking) {
            line.set_why("paid_before");
            *out.add_left() = std::move(line);
            continue;
        }
        OVATION_CO_TRY(const auto paid, co_await order(order_id(line.order_id())));
        line.set_entry_seq(paid.entry_seq());
        *out.add_credited() = std::move(line);
    }
    OVATION_CO_CHECK(co_await p_.all.db().query(sql::audit_bank_file, pg::with(who.user(), request.reason(), digest, out.credited_size(), out.left_size())));
    co_return out;
}

awaitable<result<v1::ImportSettlementResponse>> service::import_settlement(granted who, v1::ImportSettlementRequest request) {
    OVATION_CO_TRY(const auto file, co_await read_aside(p_.workers, std::move(*request.mutable_file()), [provider = request.provider()](std::string_view text) { return read_settlement(provider, text); }));
    const auto& [read, digest] = file;
    if (!read) co_return read.error();
    const auto& theirs = *read;
    for (const auto& [field, day] : {std::pair("from_day", request.from_day()), {"to_day", request.to_day()}})
        if (day.size() != 10 || day[4] != '-' || day[7] != '-' || day.find_first_not_of("0123456789-") != day.npos) co_return invalid(field, "a day looks like 2026-11-21.");
    std::string orders = "{", gross = "{", fees = "{";
    for (const auto& one : theirs) {
        const auto* comma = orders.size() > 1 ? "," : "";
        orders += comma + std::to_string(one.order);
        gross += comma + std::to_string(one.gross_minor);
        fees += comma + std::to_string(one.fee_minor);
    }
    v1::ImportSettlementResponse out;
    auto asked = pg::with(request.provider()).add_raw(orders + "}").add_raw(gross + "}").add(request.from_day()).add(request.to_day());
    asked.add(digest).add_raw(fees + "}");
    auto differ = co_await p_.all.db().query(sql::settlement_differences, std::move(asked));
    if (!differ && pg::sqlstate(differ.error()).starts_with("22")) co_return invalid("from_day", "from_day and to_day must be days of the calendar.");
    if (!differ) co_return differ.error();
    for (int i = 0; i < differ->size(); ++i) {
        auto& d = *out.add_differences();
        d.set_order_id(differ->number(i, 0));
        d.set_why(differ->string(i, 1));
        d.set_ours_minor(differ->number(i, 2));
        d.set_theirs_minor(differ->number(i, 3));
    }
    for (const auto& one : theirs)
        if (one.order == 0) {
            auto& d = *out.add_differences();
            d.set_number(one.number);
            d.set_why(one.kind.empty() ? "no_order" : "not_a_payment");
            d.set_theirs_minor(one.gross_minor);
        }
    auto filed = pg::with(request.provider());
    filed.add(digest).add_raw(orders + "}").add_raw(gross + "}").add_raw(fees + "}").add(request.bank_reference()).add(who.user()).add(request.reason());
    OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::settle, std::move(filed)));
    if (!r.text(0, 1).empty()) co_return out;  // nothing agrees: only differences
    out.set_settlement_id(r.number(0, 0));
    OVATION_CO_CHECK(co_await p_.books->settle("settlement", out.settlement_id()));
    OVATION_CO_TRY(auto s, co_await p_.all.db().query(sql::settlement_by_id, pg::with(out.settlement_id())));
    out.set_orders(static_cast<int>(s.number(0, 0)));
    out.set_gross_minor(s.number(0, 1));
    out.set_fee_minor(s.number(0, 2));
    out.set_entry_seq(s.number(0, 3));
    co_return out;
}

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
    const bool over = credited || is_final(credited.error());
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
    // Who sells dearer keeps the difference: the coins are what the wallet gets.
    const auto paid = n.amount_minor * micros_per_minor;
    entry.legs = {{provider == "bank_transfer" ? "bank" : "cash:" + provider, -paid}, {fmt::format("wallet:{}", user.value), amount}};
    if (paid != amount) entry.legs.emplace_back("provider_fees", paid - amount);
    if (provider == "bank_transfer") entry.reference = transfer_reference(n.order);
    else entry.reference = fmt::format("order:{}", n.order);
    entry.detail_json = fmt::format(R"({{"lot":{{"paid_minor":{},"currency":"{}","provider":"{}","provider_fee_minor":0,"payer":{}}}}})", n.amount_minor, n.currency, provider, user.value);
    OVATION_CO_TRY(const auto posted, co_await p_.queue.post(std::move(entry)));
    if (posted.state != ledger::status::posted && posted.state != ledger::status::replayed)
        co_return internal_fault("The top-up could not be posted.");
    OVATION_CO_CHECK(co_await p_.all.db().query(sql::order_paid, pg::with(n.order, posted.seq.value)));
    log::info("payments", "top_up_paid", "order={} user_id={} entry_seq={} replayed={}", n.order, user.value, posted.seq.value, posted.state == ledger::status::replayed);
    co_return result<void>{};
}

}  // namespace ovation::payments
