#include "gifts/service.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/log.hpp"
#include "base/money.hpp"
#include "gifts/sql.hpp"

namespace ovation::gifts {
namespace {

// One sentence for each refusal of the ledger: what happened, that nothing was charged, what to do.
fault gift_refusal(ledger::status s) {
    using ledger::status;
    switch (s) {
        case status::key_reused: return precondition("key_reused", "This key belongs to another gift. Nothing was charged; send with a new key.");
        case status::insufficient_coins: return precondition("insufficient_coins", "You do not have enough coins. Nothing was charged; top up and send again.");
        case status::account_frozen: return precondition("account_frozen", "This wallet is frozen. Nothing was charged; ask support.");
        case status::spend_limit: return precondition("spend_limit", "This would pass your limit for today. Nothing was charged; the limit can be raised for tomorrow.");
        case status::unknown_account: return precondition("no_wallet", "This account has no wallet yet. Log in again.");
        case status::posted:
        case status::replayed:
        case status::refused_by_caller:
        case status::invalid:
        case status::unknown_route: break;
    }
    return internal_fault("The gift could not be paid. Nothing was charged.");
}

v1::SendGiftResponse response(const ledger::outcome& o, std::int64_t coins) {
    v1::SendGiftResponse out;
    out.set_entry_seq(o.seq.value);
    out.set_coins(coins);
    out.set_balance_coins(o.paid / micros_per_coin);
    out.set_gift_only_coins(o.gift_only / micros_per_coin);
    out.set_bonus_coins(o.bonus / micros_per_coin);
    out.set_replayed(o.state == ledger::status::replayed);
    out.set_combo_id(o.note_id);
    out.set_combo_total(o.note_total);
    return out;
}
}  // namespace

class service::under_way {
public:
    under_way(service& owner, uuid key) : owner_(owner), key_(key) {
        std::scoped_lock lock(owner_.mutex_);
        owner_.keys_.insert(key_);
    }
    ~under_way() {
        std::scoped_lock lock(owner_.mutex_);
        owner_.keys_.erase(owner_.keys_.find(key_));
    }
    under_way(const under_way&) = delete;
    under_way& operator=(const under_way&) = delete;
    static bool is(service& owner, uuid key) {
        std::scoped_lock lock(owner.mutex_);
        return owner.keys_.contains(key);
    }

private:
    service& owner_;
    uuid key_;
};

void service::register_with(rpc_table& table) {
    const std::string prefix = "/ovation.v1.GiftService/";
    bind_rpc(table, prefix + "ListGifts", *this, &service::list);
    bind_rpc(table, prefix + "SendGift", *this, &service::send);
    bind_rpc(table, prefix + "GetGiftSend", *this, &service::get_send);
    bind_rpc(table, prefix + "GetBoard", *this, &service::get_board);
}

awaitable<result<void>> service::load() {
    OVATION_CO_TRY(auto loaded, co_await catalogue::load(p_.all.db()));
    std::atomic_store(&catalogue_, std::move(loaded));
    co_return result<void>{};
}

void service::keep_loading(core& on) {
    auto timer = std::make_shared<asio::steady_timer>(on.context, std::chrono::milliseconds(reload_ms));
    timer->async_wait([this, &on, timer](error_code failed) {
        if (failed) return;
        on.tasks.spawn("catalogue", [](service& self, core& where) -> awaitable<void> {
            if (auto loaded = co_await self.load(); !loaded) log::warn("gifts", "catalogue_not_loaded", "err={}", log::quoted(loaded.error().message));
            self.keep_loading(where);
        }(*this, on));
    });
}

awaitable<result<v1::ListGiftsResponse>> service::list(granted who, v1::ListGiftsRequest) {
    auto out = gifts()->listing();
    if (who.user()) {
        OVATION_CO_TRY(auto r, co_await p_.all.db().query(sql::free_left, pg::with(who.user(), p_.time_zone)));
        out.set_free_left(static_cast<int>(r.number(0, 0)));
    }
    co_return out;
}

awaitable<void> service::watched(user_id user) {
    if (auto earned = co_await p_.all.db().query(sql::free_earn, pg::with(user, p_.time_zone)); !earned) log::warn("gifts", "free_gift_not_earned", "user_id={} err={}", user.value, log::quoted(earned.error().message));
}

// No coins, no entry: counted by day, shown in the room, on no board.
awaitable<result<v1::SendGiftResponse>> service::send_free(granted who, v1::SendGiftRequest request, uuid key) {
    if (request.quantity() != 1) co_return invalid("quantity", "a free gift is given one at a time.");
    OVATION_CO_TRY(const auto stage, co_await p_.routes.route_of(room_id(request.room_id()), user_id(request.to_singer_id())));
    auto r = co_await p_.all.db().query(sql::free_send, pg::with(key.text(), who.user(), request.gift_id(), request.room_id(), stage.singer, p_.time_zone));
    const bool twin = !r && pg::sqlstate(r.error()) == "23505";  // the same key at the same moment: its first send stands
    if (!r && !twin) co_return r.error();
    v1::SendGiftResponse out;
    out.set_replayed(twin || !r->null(0, 2));
    if (!twin && !r->null(0, 2) && !r->boolean(0, 3)) co_return gift_refusal(ledger::status::key_reused);
    if (out.replayed()) co_return out;
    if (r->null(0, 0)) co_return precondition("no_free_gift", "You have no free gift left today. Ten minutes of listening give one, up to ten a day.");
    auto shown = std::make_shared<v1::GiftShown>();
    shown->set_user_id(who.user().value);
    shown->set_name(who.who().name);
    shown->set_gift_id(request.gift_id());
    shown->set_quantity(1);
    shown->set_combo_id(-r->number(0, 0));  // none of the ledger's
    shown->set_combo_total(1);
    shown->set_singer_id(stage.singer.value);
    shown->set_performance_id(stage.performance.value);
    if (stage.song_position) shown->set_song_position(*stage.song_position);
    shown->set_at_ms(p_.clock.now_ms());
    p_.display.show(room_id(request.room_id()), std::move(shown), reach::room);
    co_return out;
}

awaitable<result<v1::SendGiftResponse>> service::send(granted who, v1::SendGiftRequest request) {
    // Static checks.
    const auto key = uuid::parse(request.key());
    if (!key || key->version() != 7) co_return invalid("key", "must be a UUID version 7 that the client makes for this gift.");
    const under_way mine(*this, *key);
    if (std::ranges::find(quantities, request.quantity()) == quantities.end()) co_return invalid("quantity", "one of 1, 10, 66, 99, 188, 520, 1314.");
    if (request.recording_id() < 0 || (request.recording_id() > 0 && request.room_id() != 0)) co_return invalid("recording_id", "names a recording; then room_id is 0.");
    const bool to_recording = request.recording_id() > 0;
    if (!to_recording && request.room_id() <= 0) co_return invalid("room_id", "say in which room.");
    // In the books a recording is room −id: in no live room, and its key is bound to it.
    const room_id where(to_recording ? -request.recording_id() : request.room_id());
    const auto catalogue = gifts();
    const auto* asked = catalogue->version(gift_id(request.gift_id()), request.price_version());
    const auto* current = catalogue->current(gift_id(request.gift_id()));
    if (!asked && !current) co_return invalid("gift_id", "there is no such gift.");
    if (!asked) co_return invalid("price_version", "there is no such price.");
    const auto price_coins = checked_multiply(asked->price_coins, request.quantity());
    if (!price_coins || *price_coins > limits::send_cap_coins)
        co_return invalid("quantity", fmt::format("one send is at most {} coins.", limits::send_cap_coins));
    const bool free = asked->price_coins == 0;
    if (const auto wait = sends_.take(who.user()); wait > 0) co_return exhausted("too_many_gifts", "Too many gifts at once. Nothing was charged; try again in a moment.", wait);

    fault late = unavailable("deadline_exceeded", "The time was over before the gift was paid. Nothing was charged.");
    late.kind = code::deadline_exceeded;
    if (free && who.who().deadline_ms != 0 && p_.clock.steady_ms() >= who.who().deadline_ms) co_return late;
    if (free && to_recording) co_return invalid("gift_id", "free gifts are for shows.");
    if (free) co_return co_await send_free(std::move(who), std::move(request), *key);

    // What may refuse a new key but not a known one: the ledger then only looks the key up.
    std::optional<fault> if_new;
    const auto now = p_.clock.now_ms();
    if (key->time_ms() < now - limits::gift_key_past_ms) if_new = precondition("key_expired", "This key is older than 7 days. Nothing was charged; send with a new key.");
    else if (key->time_ms() > now + limits::gift_key_future_ms) if_new = precondition("key_expired", "This key's time lies more than an hour ahead. Set your clock by the server's and send with a new key.");
    else if (asked != current) if_new = precondition("price_changed", "The price of this gift has changed. Nothing was charged; look at the new price and send again.");
    stage_route route;
    if (!if_new) {
        const user_id singer(request.to_singer_id());
        auto found = to_recording ? co_await p_.routes.route_of_recording(request.recording_id(), singer) : co_await p_.routes.route_of(where, singer);
        if (found) route = *found;
        else if_new = found.error();
    }

    auto context = std::make_shared<gift_context>();
    context->sender_name = who.who().name;
    context->singer = route.singer;
    context->gift = gift_id(request.gift_id());
    context->coins = *price_coins;
    context->told_to = asked->told_to;
    context->song_position = route.song_position;
    ledger::gift_command command;
    command.key = *key;
    command.payer = who.user();
    command.route = route.route;
    command.price = *price_coins * micros_per_coin;
    command.item = asked->item;
    command.quantity = request.quantity();
    command.room = where;
    command.performance = route.performance;
    command.lookup_only = if_new.has_value();
    command.deadline_ms = who.who().deadline_ms;
    command.context = std::move(context);
    OVATION_CO_TRY(const auto done, co_await p_.queue.post(std::move(command)));
    if (done.state == ledger::status::refused_by_caller) co_return if_new ? *if_new : late;
    if (done.state != ledger::status::posted && done.state != ledger::status::replayed) co_return gift_refusal(done.state);
    co_return response(done, *price_coins);
}

awaitable<result<v1::GetGiftSendResponse>> service::get_send(granted who, v1::GetGiftSendRequest request) {
    const auto key = uuid::parse(request.key());
    if (!key) co_return invalid("key", "must be the UUID that the gift was sent with.");
    // In flight first: a key that is committed in between is then found below.
    const bool waiting = under_way::is(*this, *key) || p_.queue.in_flight(*key);
    const bool writer = p_.queue.is_writer();
    std::vector<pg::request> both;
    both.push_back({&sql::gift_by_key, pg::with(key->text(), who.user())});
    both.push_back({&sql::free_by_key, pg::with(key->text(), who.user())});
    OVATION_CO_TRY(auto found, co_await p_.all.db().run(std::move(both)));
    const auto& r = found[0];
    v1::GetGiftSendResponse out;
    if (!r.empty()) {
        out.set_state(v1::GIFT_SEND_STATE_DONE);
        auto& s = *out.mutable_result();
        s.set_entry_seq(r.number(0, 0));
        s.set_coins(r.number(0, 1) / micros_per_coin);
        s.set_balance_coins(r.number(0, 2) / micros_per_coin);
        s.set_gift_only_coins(r.number(0, 3) / micros_per_coin);
        s.set_bonus_coins(r.number(0, 4) / micros_per_coin);
        s.set_replayed(true);
    } else if (!found[1].empty()) {
        out.set_state(v1::GIFT_SEND_STATE_DONE);
        out.mutable_result()->set_replayed(true);
    } else if (!waiting && !writer) {
        // Only the writer can say "not found"; another server would be reading behind it.
        co_return unavailable("not_the_writer", "This cannot be answered at the moment. Ask again.");
    } else {
        out.set_state(waiting ? v1::GIFT_SEND_STATE_IN_FLIGHT : v1::GIFT_SEND_STATE_NOT_FOUND);
    }
    co_return out;
}

awaitable<result<v1::GetBoardResponse>> service::get_board(granted who, v1::GetBoardRequest request) {
    co_return co_await p_.ranking.get(p_.all.db(), request, who.user());
}

awaitable<result<service::shown>> service::shown_since(room_id room, entry_seq after, int limit) {
    std::vector<pg::request> both;
    both.push_back({&sql::gifts_of_room_since, pg::with(room, after.value, limit)});
    both.push_back({&sql::gifts_of_room_left_out, pg::with(room, after.value)});
    OVATION_CO_TRY(auto r, co_await p_.all.db().run(std::move(both)));
    shown out;
    for (int i = 0; i < r[0].size(); ++i) out.gifts.push_back(gift_from_books(r[0], i));
    out.older = r[1].boolean(0, 0);
    co_return out;
}

}  // namespace ovation::gifts
