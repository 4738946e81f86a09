#include "rooms/hall.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "rooms/sql.hpp"

namespace ovation::rooms {
namespace {
constexpr auto tick = std::chrono::milliseconds(250);
}

hall::hall(hall_parts parts)
    : p_(std::move(parts)),
      numbers_{p_.registry.make_counter("ovation_room_sends_total", "Flushes sent to sockets."),
               p_.registry.make_counter("ovation_room_media_dropped_total", "Media messages dropped for listeners who were behind."),
               p_.registry.make_counter("ovation_room_closed_behind_total", "Sockets closed because they were too far behind on gifts."),
               p_.registry.make_gauge("ovation_room_listeners", "Sockets in rooms."), p_.registry.make_gauge("ovation_rooms_live", "Rooms with an open show.")},
      chat_rate_(p_.clock, limits::chat_per_user),
      request_rate_(p_.clock, limits::song_requests_per_user),
      floors_(p_.all.count()) {
    for (std::size_t i = 0; i < floors_.size(); ++i) floors_[i].timer = std::make_unique<asio::steady_timer>(p_.all.at(i).context);
}

std::shared_ptr<room> hall::loaded(room_id id) {
    auto& rooms = floors_[home_of(id).index].rooms;
    const auto at = rooms.find(id);
    return at == rooms.end() ? nullptr : at->second;
}

awaitable<result<std::shared_ptr<room>>> hall::find(room_id id) {
    if (auto known = loaded(id)) co_return known;
    auto& home = home_of(id);
    if (id.value < 0) {
        OVATION_CO_TRY(auto name, co_await home.db.query(sql::name_of_user, pg::with(-id.value)));
        if (name.empty()) co_return not_found("This room");
        if (auto known = loaded(id)) co_return known;
        room_facts own;
        own.shown.set_id(id.value);
        own.shown.set_name(name.string(0, 0));
        own.shown.set_singer_id(-id.value);
        own.shown.set_singer_name(name.string(0, 0));
        own.shown.set_show_id(-1);  // none in the database
        co_return make(home, std::move(own));
    }
    std::vector<pg::request> all;
    all.push_back({&sql::get_room, pg::with(id)});
    all.push_back({&sql::helpers_of, pg::with(id)});
    all.push_back({&sql::restraints_of, pg::with(id)});
    all.push_back({&sql::open_performance, pg::with(id)});
    all.push_back({&sql::open_show_state, pg::with(id)});
    OVATION_CO_TRY(auto r, co_await home.db.run(std::move(all)));
    if (r[0].empty()) co_return not_found("This room");
    std::vector<paid_bump> bumps;
    if (const show_id show(r[0].number(0, 7)); show) {
        OVATION_CO_TRY(bumps, co_await p_.bumps.paid(show));
    }
    if (auto known = loaded(id)) co_return known;  // somebody else loaded it meanwhile
    room_facts facts;
    auto& s = facts.shown;
    const auto& f = r[0];
    s.set_id(id.value);
    s.set_name(f.string(0, 1));
    s.set_channel_id(f.number(0, 2));
    s.set_channel_name(f.string(0, 3));
    s.set_theme(f.string(0, 4));
    s.set_singer_id(f.number(0, 5));
    s.set_singer_name(f.string(0, 6));
    s.set_show_id(f.number(0, 7));
    s.set_show_started_at_ms(f.number(0, 8));
    s.set_agent_name(f.string(0, 10));
    s.set_bump_price_coins(f.number(0, 11));
    s.set_bumps_per_show(static_cast<std::int32_t>(f.number(0, 12)));
    facts.channel = channel_id(f.number(0, 2));
    facts.agent = user_id(f.number(0, 9));
    for (int i = 0; i < r[1].size(); ++i) facts.helpers.insert(user_id(r[1].number(i, 0)));
    for (int i = 0; i < r[2].size(); ++i) (r[2].text(i, 1) == "muted" ? facts.muted_until_ms : facts.kicked_until_ms)[user_id(r[2].number(i, 0))] = r[2].number(i, 2);
    const bool open = s.show_id() != 0;
    auto made = make(home, std::move(facts));
    if (open && !r[4].empty()) {
        made->restore_queue(r[4].string(0, 0));
        made->restore_seat(user_id(r[4].number(0, 1)), r[4].string(0, 2), r[4].boolean(0, 3));
        made->restore_dress(r[4].string(0, 4), r[4].boolean(0, 5));
    }
    if (open) {
        const auto& o = r[3];
        if (o.empty()) made->resume_show({});
        else made->resume_show({performance_id(o.number(0, 0)), o.number(0, 1), o.string(0, 2), o.string(0, 3), o.boolean(0, 4), o.number(0, 5), static_cast<int>(o.number(0, 6)), o.boolean(0, 7), o.boolean(0, 8), o.string(0, 9), static_cast<int>(o.number(0, 10))});
    }
    if (open) made->restore_bumps(bumps);
    co_return made;
}

std::shared_ptr<room> hall::make(core& home, room_facts facts) {
    const room_id id(facts.shown.id());
    auto made = std::make_shared<room>(room_parts{home, p_.clock, p_.frame, p_.routes, p_.journal, p_.gifts, p_.bumps, p_.supporters, p_.wallets, p_.shelf, p_.workers, p_.kept, numbers_, p_.refused_words, chat_rate_, request_rate_}, std::move(facts));
    floors_[home.index].rooms.emplace(id, made);
    return made;
}

void hall::show_gift(room_id id, std::shared_ptr<const v1::GiftShown> gift) {
    asio::post(home_of(id).context, [this, id, gift = std::move(gift)]() mutable {
        if (auto r = loaded(id)) r->show_gift(std::move(gift));
    });
}

void hall::tell_others(room_id from, std::shared_ptr<const v1::GiftShown> gift, bool everywhere) {
    asio::post(home_of(from).context, [this, from, gift = std::move(gift), everywhere] {
        const auto origin = loaded(from);
        if (!origin) return;
        const auto of = origin->snapshot();
        auto line = std::make_shared<v1::Ticker>();
        *line->mutable_gift() = *gift;
        line->set_room_id(of.id());
        line->set_room_name(of.name());
        line->set_singer_name(of.singer_name());
        line->set_everywhere(everywhere);
        for (std::size_t i = 0; i < floors_.size(); ++i)
            asio::post(p_.all.at(i).context, [this, i, line = std::shared_ptr<const v1::Ticker>(line), channel = of.channel_id()] {
                for (const auto& [id, r] : floors_[i].rooms)
                    if (id.value != line->room_id()) r->given_elsewhere(*line, channel);
            });
    });
}

void hall::close_sockets(user_id user, session_id session, int code, std::string reason) {
    for (std::size_t i = 0; i < floors_.size(); ++i)
        asio::post(p_.all.at(i).context, [this, i, user, session, code, reason] {
            for (const auto& [id, r] : floors_[i].rooms) r->close_sockets(user, session, code, reason);
        });
}

awaitable<std::vector<v1::Room>> hall::live_rooms() {
    std::vector<v1::Room> out;
    for (std::size_t i = 0; i < floors_.size(); ++i) {
        auto part = co_await ask(p_.all.at(i), [](floor& f) -> awaitable<std::vector<v1::Room>> {
            std::vector<v1::Room> live;
            for (const auto& [id, r] : f.rooms)
                if (auto s = r->snapshot(); s.show_id() > 0) live.push_back(std::move(s));
            co_return live;
        }(floors_[i]));
        std::ranges::move(part, std::back_inserter(out));
    }
    std::ranges::sort(out, [](const v1::Room& a, const v1::Room& b) { return std::pair(-a.listeners(), a.id()) < std::pair(-b.listeners(), b.id()); });
    co_return out;
}

awaitable<result<void>> hall::restore() {
    OVATION_CO_TRY(auto open, co_await p_.all.db().query(sql::rooms_with_open_shows, {}));
    for (int i = 0; i < open.size(); ++i) {
        const room_id id(open.number(i, 0));
        OVATION_CO_CHECK(co_await ask(home_of(id), find(id)));
    }
    OVATION_CO_CHECK(co_await p_.all.db().query(sql::end_alone, {}));
    if (open.size() > 0) log::info("rooms", "shows_restored", "count={}", open.size());
    co_return result<void>{};
}

awaitable<void> hall::ticks(core& home) {
    auto& f = floors_[home.index];
    while (!f.stopping) {
        f.timer->expires_after(tick);
        co_await f.timer->async_wait(use_tuple);
        const auto now = p_.clock.steady_ms();
        std::vector<std::shared_ptr<room>> all;
        for (const auto& [id, r] : f.rooms) all.push_back(r);
        for (const auto& r : all) r->tick(now);
        // Rooms that nobody is in and where nothing goes on; moderation stands in the database.
        std::erase_if(f.rooms, [](const auto& entry) { return entry.second->idle(); });
    }
}

void hall::stop() {
    for (std::size_t i = 0; i < floors_.size(); ++i)
        asio::post(p_.all.at(i).context, [this, i] {
            floors_[i].stopping = true;
            floors_[i].timer->cancel();
            for (const auto& [id, r] : floors_[i].rooms) r->shut_down();
        });
}

}  // namespace ovation::rooms
