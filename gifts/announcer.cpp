#include "gifts/announcer.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "gifts/sql.hpp"

namespace ovation::gifts {

void announcer::on_commit(std::vector<ledger::committed_gift>& gifts, entry_seq head) {
    const auto now = clock_.now_ms();
    if (now - swept_ms_ > limits::combo_window_ms) sweep(now);
    for (auto& g : gifts) {
        // A replay of long ago is not shown again; one of a COMMIT whose answer was lost is shown now.
        if (g.seq <= shown_.load()) continue;
        const auto* context = dynamic_cast<const gift_context*>(g.command->context.get());
        if (!context) continue;
        const auto& c = count(g.command->payer.value, context->singer.value, context->gift.value, g.command->room.value, g.seq.value, g.command->quantity, now);
        g.answer->note_id = c.id;
        g.answer->note_total = c.total;

        auto shown = std::make_shared<v1::GiftShown>();
        shown->set_entry_seq(g.seq.value);
        shown->set_user_id(g.command->payer.value);
        shown->set_name(context->sender_name);
        shown->set_gift_id(context->gift.value);
        shown->set_quantity(g.command->quantity);
        shown->set_coins(context->coins);
        shown->set_combo_id(c.id);
        shown->set_combo_total(c.total);
        shown->set_singer_id(context->singer.value);
        shown->set_performance_id(g.command->performance.value);
        if (context->song_position) shown->set_song_position(*context->song_position);
        shown->set_at_ms(now);
        display_.show(g.command->room, std::move(shown), context->told_to);
    }
    shown_ = std::max(shown_.load(), head);
}

announcer::combo& announcer::count(std::int64_t payer, std::int64_t singer, std::int64_t gift, std::int64_t room, std::int64_t seq, std::int32_t quantity, std::int64_t now) {
    auto& c = combos_[{payer, singer, gift, room}];
    if (now - c.last_ms > limits::combo_window_ms) c = {seq, 0, 0};
    c.total += quantity;
    c.last_ms = now;
    return c;
}

awaitable<void> announcer::on_takeover(pg::connection& db, entry_seq head) { return show_from_books(db, head, true); }
awaitable<void> announcer::on_follow(pg::connection& db, entry_seq head) {
    if (const auto now = clock_.now_ms(); now - swept_ms_ > limits::combo_window_ms) sweep(now);
    return show_from_books(db, head, false);
}

awaitable<void> announcer::show_from_books(pg::connection& db, entry_seq head, bool late) {
    const auto from = shown_.load();
    if (head <= from) co_return;
    auto r = co_await db.query(sql::gifts_between, pg::with(from, head), std::chrono::seconds(30));
    if (!r) {
        // The connection is then past use, and the next time asks again.
        log::warn("gifts", "backlog_not_read", "err={}", log::quoted(r.error().message));
        co_return;
    }
    for (int i = 0; i < r->size(); ++i) {
        auto shown = std::make_shared<v1::GiftShown>(gift_from_books(*r, i));
        const auto room = r->number(i, 9);
        if (!late) {
            const auto& c = count(shown->user_id(), shown->singer_id(), shown->gift_id(), room, shown->entry_seq(), shown->quantity(), shown->at_ms());
            shown->set_combo_id(c.id);
            shown->set_combo_total(c.total);
            shown->set_earlier(false);
        }
        display_.show(room_id(room), std::move(shown), reach::room);
    }
    if (late && !r->empty()) log::info("gifts", "backlog_shown", "count={}", r->size());
    shown_ = head;
}

// Columns: seq, payer, name, gift, quantity, coins, singer, performance, at_ms.
v1::GiftShown gift_from_books(const pg::rows& r, int i) {
    v1::GiftShown g;
    g.set_entry_seq(r.number(i, 0));
    g.set_user_id(r.number(i, 1));
    g.set_name(r.string(i, 2));
    g.set_gift_id(r.number(i, 3));
    g.set_quantity(static_cast<int>(r.number(i, 4)));
    g.set_coins(r.number(i, 5));
    g.set_singer_id(r.number(i, 6));
    g.set_performance_id(r.number(i, 7));
    g.set_at_ms(r.number(i, 8));
    g.set_combo_id(g.entry_seq());
    g.set_combo_total(g.quantity());
    g.set_earlier(true);
    return g;
}

void announcer::sweep(std::int64_t now) {
    swept_ms_ = now;
    std::erase_if(combos_, [now](const auto& c) { return now - c.second.last_ms > limits::combo_window_ms; });
}

}  // namespace ovation::gifts
