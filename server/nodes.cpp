#include "server/nodes.hpp"

#include <spdlog/fmt/fmt.h>

#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "base/crypto.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "gifts/announcer.hpp"

namespace ovation::server {
namespace {
constexpr std::size_t load_max = 500;
constexpr std::int64_t patience_ms = 10'000;
constexpr std::int64_t unsent_ms = 1'000;  // that long a gift waits for a writer, as callers may ask another server meanwhile
constexpr auto call_limit = std::chrono::seconds(5);
constexpr std::string_view scheme = "Node ";

v1::ForwardedCommand packed(const ledger::command& what, std::int64_t now_ms) {
    v1::ForwardedCommand out;
    if (const auto* e = std::get_if<ledger::entry_command>(&what)) {
        auto& to = *out.mutable_entry();
        to.set_kind(e->kind);
        to.set_key(e->key);
        for (const auto& [account, amount] : e->legs) {
            auto& leg = *to.add_legs();
            leg.set_account(account);
            leg.set_amount(amount);
        }
        to.set_reference(e->reference);
        to.set_detail_json(e->detail_json);
        return out;
    }
    const auto& g = std::get<ledger::gift_command>(what);
    auto& to = *out.mutable_gift();
    to.set_key(g.key.text());
    to.set_payer(g.payer.value);
    to.set_route(g.route.value);
    to.set_price(g.price);
    to.set_item(g.item);
    to.set_quantity(g.quantity);
    to.set_room(g.room.value);
    to.set_performance(g.performance.value);
    const auto left = g.deadline_ms - now_ms;
    to.set_lookup_only(g.lookup_only || (g.deadline_ms != 0 && left <= 0));
    if (g.deadline_ms != 0 && left > 0) to.set_within_ms(left);
    if (const auto* c = dynamic_cast<const gifts::gift_context*>(g.context.get())) {
        to.set_sender_name(c->sender_name);
        to.set_singer(c->singer.value);
        to.set_gift_id(c->gift.value);
        to.set_coins(c->coins);
        to.set_told_to(static_cast<int>(c->told_to));
        if (c->song_position) to.set_song_position(*c->song_position);
    }
    return out;
}

result<ledger::command> unpacked(const v1::ForwardedCommand& in, std::int64_t now_ms) {
    if (in.has_entry()) {
        ledger::entry_command e{in.entry().kind(), in.entry().key(), {}, in.entry().reference(), in.entry().detail_json()};
        for (const auto& leg : in.entry().legs()) e.legs.emplace_back(leg.account(), leg.amount());
        return ledger::command(std::move(e));
    }
    const auto& from = in.gift();
    const auto key = uuid::parse(from.key());
    if (!in.has_gift() || !key) return invalid("commands", "each is a gift with a key, or an entry.");
    ledger::gift_command g;
    g.key = *key;
    g.payer = user_id(from.payer());
    g.route = route_id(from.route());
    g.price = from.price();
    g.item = from.item();
    g.quantity = from.quantity();
    g.room = room_id(from.room());
    g.performance = performance_id(from.performance());
    g.lookup_only = from.lookup_only();
    if (from.within_ms() > 0) g.deadline_ms = now_ms + from.within_ms();
    auto context = std::make_shared<gifts::gift_context>();
    context->sender_name = from.sender_name();
    context->singer = user_id(from.singer());
    context->gift = gift_id(from.gift_id());
    context->coins = from.coins();
    context->told_to = from.told_to() == 2 ? gifts::reach::site : from.told_to() == 1 ? gifts::reach::channel : gifts::reach::room;
    if (from.has_song_position()) context->song_position = from.song_position();
    g.context = std::move(context);
    return ledger::command(std::move(g));
}

v1::ForwardedAnswer packed(const result<ledger::outcome>& r) {
    v1::ForwardedAnswer out;
    if (r) {
        out.set_status(static_cast<int>(r->state));
        out.set_entry_seq(r->seq.value);
        out.set_paid(r->paid);
        out.set_gift_only(r->gift_only);
        out.set_bonus(r->bonus);
        out.set_combo_id(r->note_id);
        out.set_combo_total(r->note_total);
    } else {
        const auto& f = r.error();
        out.set_reason(f.reason);
        out.set_message(f.message);
        out.set_code(static_cast<int>(f.kind));
        out.set_retryable(f.retryable);
        out.set_retry_after_ms(f.retry_after_ms);
    }
    return out;
}
fault unknown_outcome() { return unavailable("unknown_outcome", "It is not known yet whether this was paid. Ask with the same key; do not send a new gift."); }
result<ledger::outcome> unpacked(const v1::ForwardedAnswer& a) {
    if (!a.reason().empty()) {
        fault f;
        f.kind = static_cast<code>(a.code());
        f.reason = a.reason();
        f.message = a.message();
        f.retryable = a.retryable();
        f.retry_after_ms = a.retry_after_ms();
        return f;
    }
    ledger::outcome out;
    out.state = static_cast<ledger::status>(a.status());
    out.seq = entry_seq(a.entry_seq());
    out.paid = a.paid();
    out.gift_only = a.gift_only();
    out.bonus = a.bonus();
    out.note_id = a.combo_id();
    out.note_total = a.combo_total();
    return out;
}
}  // namespace

nodes::nodes(core& home, ledger::posting_queue& queue, const clock_source& clock, metrics& registry, std::string ca_file)
    : home_(home), queue_(queue), clock_(clock), ca_file_(std::move(ca_file)), forwarded_(registry.make_counter("ovation_ledger_forwarded_total", "Commands carried to the server that writes.")) {}

void nodes::register_with(rpc_table& table) { bind_rpc(table, "/ovation.v1.NodeService/PostCommands", *this, &nodes::post); }

std::string nodes::proof_of(std::int64_t at_ms, std::string_view body) const {
    const auto mac = crypto::hmac_sha256(key_, fmt::format("ovation node\n{}\n{}", at_ms, body));
    return fmt::format("{}.{}", at_ms, crypto::base64url({reinterpret_cast<const char*>(mac.data()), mac.size()}));
}
result<caller> nodes::admit(std::string_view authorization, std::string_view body) const {
    fault no = denied("token_invalid", "This is no proof of a server of this installation.");
    no.kind = code::unauthenticated;
    authorization.remove_prefix(std::min(authorization.size(), scheme.size()));
    std::int64_t at_ms = 0;
    const auto [end, bad] = std::from_chars(authorization.data(), authorization.data() + authorization.size(), at_ms);
    if (bad != std::errc{} || std::abs(clock_.now_ms() - at_ms) > limits::node_clock_ms_max) return no;
    if (!crypto::equal_constant_time(proof_of(at_ms, body), authorization)) return no;
    caller out;
    out.roles.add(v1::ROLE_SERVICE);
    return out;
}

void nodes::forward(ledger::command what, std::function<void(result<ledger::outcome>)> answer) {
    forwarded_.add();
    std::unique_lock lock(mutex_);
    if (waiting_.size() >= limits::ledger_queue_max) {
        lock.unlock();
        return answer(exhausted("ledger_busy", "Too many gifts at once. Nothing was charged; try again in a moment.", 200));
    }
    waiting_.push_back({std::move(what), std::move(answer), clock_.steady_ms(), false});
    if (std::exchange(carrying_, true)) return;
    lock.unlock();
    asio::post(home_.context, [this] { home_.tasks.spawn("forwarding", carry()); });
}

std::vector<nodes::carried> nodes::take() {
    std::vector<carried> out;
    std::scoped_lock lock(mutex_);
    for (; !waiting_.empty() && out.size() < load_max; waiting_.pop_front()) out.push_back(std::move(waiting_.front()));
    carrying_ = !out.empty();
    return out;
}
void nodes::put_back(std::vector<carried>& load) {
    std::scoped_lock lock(mutex_);
    for (auto c = load.rbegin(); c != load.rend(); ++c) waiting_.push_front(std::move(*c));
    load.clear();
}

// Ends when nothing waits.
awaitable<void> nodes::carry() {
    std::string to;
    std::optional<http_link> link;
    while (true) {
        auto load = take();
        if (load.empty()) co_return;
        // Nobody waits for ever: what may have been posted is said to be unknown.
        for (auto& c : load) {
            if (clock_.steady_ms() - c.since_ms < (c.sent ? patience_ms : unsent_ms)) continue;
            c.answer(c.sent ? unknown_outcome() : unavailable("ledger_unavailable", "Gifts cannot be paid at the moment. Nothing was charged; try again in a moment."));
            c.answer = nullptr;
        }
        std::erase_if(load, [](const carried& c) { return !c.answer; });
        if (load.empty()) continue;
        const auto writer = queue_.writer_elsewhere();
        if (writer.empty() && queue_.is_writer()) {
            // The writer is here now; a key that was posted elsewhere is known to it.
            for (auto& c : load) queue_.post(std::move(c.command), std::move(c.answer));
            continue;
        }
        if (!writer.empty()) {
            if (std::exchange(to, writer) != writer || !link) link.emplace(http_server{writer, ca_file_});
            co_await send(*link, load);
            if (load.empty()) continue;
        }
        put_back(load);
        asio::steady_timer pause(home_.context, std::chrono::milliseconds(100));
        co_await pause.async_wait(use_tuple);
    }
}

// Answers what was answered; the rest stays in `load`.
awaitable<void> nodes::send(http_link& link, std::vector<carried>& load) {
    v1::PostCommandsRequest request;
    std::vector<carried> later;
    std::size_t bytes = 0;
    for (auto& c : load) {
        auto one = packed(c.command, clock_.steady_ms());
        bytes += one.ByteSizeLong() + 8;
        if (bytes > limits::rpc_body_bytes_max / 2 && request.commands_size() > 0) later.push_back(std::move(c));
        else *request.add_commands() = std::move(one);
    }
    load.resize(static_cast<std::size_t>(request.commands_size()));
    http_call call{"POST", "/ovation.v1.NodeService/PostCommands", {{"content-type", "application/proto"}}, request.SerializeAsString()};
    call.headers.emplace_back("authorization", std::string(scheme) + proof_of(clock_.now_ms(), call.body));
    const auto got = co_await link.call(std::move(call), call_limit);
    v1::PostCommandsResponse response;
    if (!got) {
        log::warn("ledger", "not_forwarded", "count={} err={}", load.size(), log::quoted(got.error().in_full()));
        not_answered(load);
    } else if (got->status != 200 || !response.ParseFromString(got->body) || response.answers_size() != request.commands_size()) {
        log::warn("ledger", "not_forwarded", "count={} status={} err={}", load.size(), got->status, log::quoted(got->body.substr(0, 300)));
        not_answered(load);
    } else {
        for (int i = 0; i < response.answers_size(); ++i) {
            auto& c = load[static_cast<std::size_t>(i)];
            // Its lease has just ended: nothing of this was done there.
            if (response.answers(i).reason() == "not_the_writer") continue;
            c.answer(unpacked(response.answers(i)));
            c.answer = nullptr;
        }
        std::erase_if(load, [](const carried& c) { return !c.answer; });
    }
    for (auto& c : later) load.push_back(std::move(c));
}

// It may have been posted, or be on its way to it.
void nodes::not_answered(std::vector<carried>& load) {
    for (auto& c : load) {
        c.sent = true;
        if (auto* g = std::get_if<ledger::gift_command>(&c.command)) {
            c.answer = ledger::only_look(*g, std::move(c.answer));
            continue;
        }
        c.answer(unknown_outcome());
        c.answer = nullptr;
    }
    std::erase_if(load, [](const carried& c) { return !c.answer; });
}

awaitable<result<v1::PostCommandsResponse>> nodes::post(granted, v1::PostCommandsRequest request) {
    struct waiting {
        std::mutex mutex;
        v1::PostCommandsResponse answers;
        int open = 0;
    };
    if (request.commands_size() > static_cast<int>(load_max)) co_return invalid("commands", fmt::format("at most {}.", load_max));
    std::vector<ledger::command> commands;
    for (const auto& c : request.commands()) {
        OVATION_CO_TRY(auto one, unpacked(c, clock_.steady_ms()));
        commands.push_back(std::move(one));
    }
    if (commands.empty()) co_return v1::PostCommandsResponse();
    const auto state = std::make_shared<waiting>();
    state->open = request.commands_size();
    for (int i = 0; i < state->open; ++i) state->answers.add_answers();
    const auto executor = co_await asio::this_coro::executor;
    auto initiate = [this, state, executor](auto handler, std::vector<ledger::command> all) {
        const auto resume = std::make_shared<decltype(handler)>(std::move(handler));
        for (std::size_t i = 0; i < all.size(); ++i)
            queue_.post_here(std::move(all[i]), [state, executor, resume, i](result<ledger::outcome> r) {
                std::scoped_lock lock(state->mutex);
                *state->answers.mutable_answers(static_cast<int>(i)) = packed(r);
                if (--state->open == 0) asio::post(executor, [resume] { (*resume)(); });
            });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate, asio::use_awaitable, std::move(commands));
    co_return std::move(state->answers);
}

}  // namespace ovation::server
