// All rooms: which core each one lives on, the rooms that are loaded there, and the tick. A room's number decides its home.
#pragma once
#include <unordered_map>

#include "rooms/room.hpp"

namespace ovation::rooms {

struct hall_parts {
    cores& all;
    const clock_source& clock;
    metrics& registry;
    framer frame;
    route_maker& routes;
    journal_view& journal;
    gift_counter& gifts;
    bump_counter& bumps;
    supporters_view& supporters;
    wallet_view& wallets;
    songs::shelf& shelf;
    worker_pool& workers;  // for sound
    recordings& kept;
    std::vector<std::string> refused_words;
};

class hall {
public:
    explicit hall(hall_parts parts);
    hall(const hall&) = delete;
    hall& operator=(const hall&) = delete;

    [[nodiscard]] core& home_of(room_id room) { return p_.all.at(static_cast<std::size_t>(room.value) % p_.all.count()); }
    // On the room's home core. Loads the room when nobody has been there.
    awaitable<result<std::shared_ptr<room>>> find(room_id id);
    // A stage of one's own, in no list: its number is −user.
    [[nodiscard]] static room_id alone(user_id user) { return room_id(-user.value); }
    // On the room's home core; null when it is not loaded.
    std::shared_ptr<room> loaded(room_id id);
    // Any thread.
    void show_gift(room_id id, std::shared_ptr<const v1::GiftShown> gift);
    // A line about this gift in the other rooms of its channel with a show, or in all. Any thread.
    void tell_others(room_id from, std::shared_ptr<const v1::GiftShown> gift, bool everywhere);
    void close_sockets(user_id user, session_id session, int code, std::string reason);
    awaitable<std::vector<v1::Room>> live_rooms();

    // Loads the rooms whose shows were open when the server went down.
    awaitable<result<void>> restore();
    // One for each core; ends after stop().
    awaitable<void> ticks(core& home);
    void stop();

private:
    struct floor {  // one core's part
        std::unordered_map<room_id, std::shared_ptr<room>> rooms;
        std::unique_ptr<asio::steady_timer> timer;
        bool stopping = false;
    };
    std::shared_ptr<room> make(core& home, room_facts facts);
    hall_parts p_;
    room_metrics numbers_;
    rate_limiter<user_id> chat_rate_, request_rate_;
    std::vector<floor> floors_;
};

}  // namespace ovation::rooms
