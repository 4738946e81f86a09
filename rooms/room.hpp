// One room: who is in it, what they see, who sings. Lives on its home core and is touched on that core's thread only.
// Events are encoded once for each encoding and go to all who keep up as the same bytes (fan_out.cpp); the stage is in
// stage.cpp; joining and resuming in join.cpp.
#pragma once
#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "base/clock.hpp"
#include "base/cores.hpp"
#include "base/metrics.hpp"
#include "ovation/v1/live.pb.h"
#include "ovation/v1/room.pb.h"
#include "rooms/backing_feed.hpp"
#include "rooms/member.hpp"
#include "rooms/recorder.hpp"
#include "rooms/recordings.hpp"
#include "rooms/song_queue.hpp"
#include "rooms/take.hpp"
#include "rooms/timeline.hpp"

namespace ovation::rooms {

// What a state event is about: the newest of each takes the place of the one before it.
enum state_key : int {
    key_presence = 1,
    key_stage = 2,
    key_supporters = 3,
    key_show = 4,
    key_line_score = 5,
    key_score_total = 6,
    key_queue = 7,
    key_guest_line_score = 8,
    key_guest_score_total = 9,
};

struct room_metrics {
    counter& frames;          // sends to sockets
    counter& media_dropped;
    counter& closed_behind;
    gauge& listeners;
    gauge& live_rooms;
};

// References that every room shares.
struct room_parts {
    core& home;
    const clock_source& clock;
    framer frame;
    route_maker& routes;
    journal_view& journal;
    gift_counter& gifts;
    bump_counter& bumps;
    supporters_view& supporters;
    wallet_view& wallets;
    songs::shelf& shelf;
    worker_pool& workers;
    recordings& kept;
    room_metrics& numbers;
    const std::vector<std::string>& refused_words;
    rate_limiter<user_id>& chat_rate;
    rate_limiter<user_id>& request_rate;
};

// As read from the database.
struct room_facts {
    v1::Room shown;
    channel_id channel;
    user_id agent;
    std::unordered_set<user_id> helpers;
    std::unordered_map<user_id, std::int64_t> muted_until_ms, kicked_until_ms;
};

// Song positions that a publisher may name, 48 kHz samples.
inline constexpr std::int64_t position_min = -60'000LL * 48, position_max = 3'600'000LL * 48;

// The answer to what was refused; what went wrong inside is not told.
v1::ServerFrame refusal(std::uint64_t request_id, const fault& why);

struct event {
    event_class kind = event_class::state;
    int key = 0;
    std::int64_t entry_seq = 0;
    std::shared_ptr<const v1::ServerFrame> frame;
};

class room : public std::enable_shared_from_this<room> {
public:
    room(room_parts parts, room_facts facts);
    room(const room&) = delete;
    room& operator=(const room&) = delete;

    // Joining and leaving.
    awaitable<result<void>> enter(member_ptr who, v1::Enter request, std::uint64_t request_id);
    void leave(const member_ptr& who);
    // A command of somebody who has entered; the access rule has been asked.
    void handle(const member_ptr& who, granted proof, v1::ClientFrame command);
    void refuse(const member_ptr& who, std::uint64_t request_id, const fault& why);
    void close_sockets(user_id user, session_id session, int code, std::string_view reason);

    // From the ledger, by way of gifts/.
    void show_gift(std::shared_ptr<const v1::GiftShown> gift);
    // A large one in another room, of this channel.
    void given_elsewhere(const v1::Ticker& line, std::int64_t channel);
    struct stage_answer {
        route_id route;
        user_id singer;
        performance_id performance;
        std::optional<std::int64_t> song_position;
    };
    awaitable<result<stage_answer>> stage_route(user_id to_singer);

    // From RoomService.
    void show_opened(std::int64_t show, std::int64_t at_ms);
    awaitable<result<void>> end_show();
    void helper_changed(user_id user, const std::string& name, bool removed);
    void restrained(user_id user, const std::string& name, const std::string& reason, std::int64_t until_ms, v1::Moderation::Kind kind);
    // After a restart: the show goes on when its singer comes back in time.
    struct left_off {
        performance_id performance;
        std::int64_t song = 0;
        std::string title, artist;
        bool public_domain = true;
        std::int64_t position = 0;
        int key = 0;
        bool singer_recorded = false, guest_recorded = false;
        std::string level = "medium";
        int host_voice = 1;
    };
    void resume_show(left_off at);

    void restore_queue(const std::string& json);
    void restore_dress(std::string effect, bool hide_score);
    void restore_seat(user_id user, std::string name, bool locked);
    // bumps.cpp; after the queue and the stage have been restored.
    void restore_bumps(const std::vector<paid_bump>& paid);
    void set_bumps(std::int64_t price_coins, std::int32_t per_show);

    [[nodiscard]] bool is_singer(user_id user) const { return user && user.value == facts_.shown.singer_id(); }
    [[nodiscard]] bool is_on_stage(user_id user) const { return is_singer(user) || (user && user == seats_[guest].user); }
    [[nodiscard]] bool is_own_staff(const caller& who) const;  // ops is not
    [[nodiscard]] bool is_staff(const caller& who) const;
    [[nodiscard]] v1::Room snapshot() const;
    [[nodiscard]] bool idle() const { return members_.empty() && facts_.shown.show_id() == 0 && busy_ == 0; }
    void shut_down();
    void tick(std::int64_t now_ms);

private:
    awaitable<void> arrange(member_ptr who, v1::ClientFrame command);

    // fan_out.cpp
    void publish(event_class kind, int key, v1::ServerFrame frame, std::int64_t entry_seq = 0);
    void publish_numbered(v1::ServerFrame frame, std::int64_t entry_seq);
    void flush();
    void settle();
    void send_slice();
    void send_some(std::size_t until);
    void send_now(const member_ptr& who, const shared_bytes& bytes, event_class kind, int key, std::shared_ptr<const v1::ServerFrame> media = {});
    v1::ServerFrame in_low(const v1::ServerFrame& frame) const;
    void drain(const member_ptr& who);
    void reply(const member_ptr& who, v1::ServerFrame frame);
    void reply_soon(const member_ptr& who, const v1::ServerFrame& frame);
    shared_bytes encode(encoding e, const v1::ServerFrame& frame) const;

    // join.cpp
    void set_media(const member_ptr& who, bool wanted);
    void send_kept_media(const member_ptr& who);
    awaitable<result<void>> welcome(member_ptr who, v1::Enter request, std::uint64_t request_id);

    // seats.cpp
    struct seat;
    void take_seat(const member_ptr& who, std::uint64_t request_id, bool record);
    void leave_seat(const member_ptr& who, std::uint64_t request_id);
    awaitable<result<void>> arrange_seat(v1::ArrangeSeat request);
    void empty_seat();
    void wait_for_singer();
    void save_seat();
    void give_voices(int of_singer);
    [[nodiscard]] std::optional<std::size_t> seat_of(const member_ptr& who) const;
    [[nodiscard]] bool both_sit() const;
    [[nodiscard]] int voices_of_song() const;
    void media(const member_ptr& who, std::uint64_t request_id, v1::Media message);
    void publish_media(std::vector<v1::Media> messages);
    void tell_apart(const member_ptr& who, std::int64_t now_ms);

    // stage.cpp
    void take_stage(const member_ptr& who, std::uint64_t request_id);
    void leave_stage(const member_ptr& who, std::uint64_t request_id);
    awaitable<void> pick_song(member_ptr who, std::uint64_t request_id, v1::PickSong request);
    struct song_to_sing {
        std::int64_t song = 0, length = 0;  // samples
        std::string title, artist, hash;
        int key = 0;
        songs::score_level level = songs::score_level::medium;
        bool public_domain = false;
        songs::backing backing;
        std::shared_ptr<const songs::ultrastar_song> notes;  // null: not scored
    };
    awaitable<result<song_to_sing>> load_song(std::int64_t song, int key, songs::score_level level);
    void set_song(song_to_sing song);
    awaitable<result<void>> write_end();
    // requests.cpp
    std::optional<fault> too_many_requests(const member_ptr& who);
    awaitable<void> request_song(member_ptr who, std::uint64_t request_id, v1::RequestSong request);
    void cancel_request(const member_ptr& who, std::uint64_t request_id, std::int64_t id);
    result<void> arrange_queue(const v1::ArrangeQueue& request);
    void publish_queue();
    awaitable<void> save_queue();
    [[nodiscard]] v1::Queue queue_now() const;
    // bumps.cpp
    struct bump_on_stage {
        show_id show;
        std::int64_t request = 0;
        user_id user, singer;
        performance_id performance;
        bool licensed = false;
        route_id route;
        std::int64_t played_ms = 0;
    };
    awaitable<void> bump(member_ptr who, std::uint64_t request_id, v1::BumpRequest request);
    [[nodiscard]] std::optional<fault> why_no_bump(user_id who, const v1::BumpRequest& request) const;
    [[nodiscard]] std::int32_t bumps_left() const;
    awaitable<void> give_back(show_id show, std::int64_t request, user_id user);
    void drop_bump(const song_queue::request& of);
    void sing_bumped(const song_queue::request& of, std::int64_t song);
    void count_played(std::int64_t now);
    awaitable<void> close_sung(bump_on_stage one);
    void end_bump();
    void end_queue(std::int64_t show);
    awaitable<void> tell_balance(user_id user);

    void set_stage(const member_ptr& who, std::uint64_t request_id, const v1::SetStage& request);
    void start_takes();
    void start_take(seat& s);
    void end_takes();
    void end_part(seat& s);
    awaitable<void> finish_take(std::shared_ptr<take> of, int key);
    void remember(const char* kind, std::optional<timeline::moment> at, user_id user, std::int64_t entry_seq, const google::protobuf::Message& body);
    void save_timeline();
    [[nodiscard]] bool alone() const { return facts_.shown.id() < 0; }
    void stop_song();
    void end_song_when_over();
    void control_song(const member_ptr& who, std::uint64_t request_id, const v1::ControlSong& control);
    void publish_stage();
    [[nodiscard]] v1::Stage stage_now() const;
    [[nodiscard]] std::int64_t position_now() const;
    void set_position(std::int64_t position);
    void save_performance(bool ended);
    void singer_gone(std::size_t at);

    void chat(const member_ptr& who, std::uint64_t request_id, const std::string& text);
    awaitable<void> send_gift(member_ptr who, granted proof, std::uint64_t request_id, v1::SendGiftRequest request);
    awaitable<void> refresh_supporters();
    void done(const member_ptr& who, std::uint64_t request_id);
    void spawn(std::string_view name, awaitable<void> task);

    room_parts p_;
    room_facts facts_;
    std::vector<member_ptr> members_;

    // Fan-out.
    std::vector<event> pending_;
    std::vector<event> sending_;
    std::vector<std::array<shared_bytes, 3>> sending_bytes_;  // proto, json, proto of the low rendition
    std::array<shared_bytes, 4> batch_;                       // by variant, fan_out.cpp
    std::size_t next_member_ = 0;
    std::size_t sending_until_ = 0;
    bool flush_due_ = false;
    asio::steady_timer flush_timer_;
    asio::steady_timer hold_timer_;  // of the voices that wait for each other

    // Gift-class history: offsets first_offset_ … offset_.
    std::string epoch_;
    std::uint64_t offset_ = 0;
    std::int64_t entry_seq_ = 0;
    struct past {
        std::int64_t at_ms;
        std::shared_ptr<const v1::ServerFrame> frame;
    };
    std::deque<past> history_;
    std::deque<v1::ChatMessage> chat_;
    std::int64_t next_chat_ = 1;

    // Stage.
    static constexpr std::size_t host = 0, guest = 1;
    struct seat {
        user_id user;
        std::string name;
        member_ptr who;               // null: away
        std::int64_t until_ms = 0;    // steady clock, the guest's: how long the seat is kept for who is away
        bool muted = false;
        int voice = 1;
        int points = 0;
        std::shared_ptr<take> scoring;
        bool records = false;         // this singer's voice is to be kept
        std::shared_ptr<recorder> keeping;
        route_id route;               // of gifts to this singer, while it holds
        std::int64_t route_until_ms = 0;
        std::uint64_t route_of_changes = 0;
    };
    std::array<seat, limits::seats_per_stage> seats_;
    bool seat_locked_ = true;
    user_id invited_;
    std::string invited_name_;
    timeline timeline_;
    std::string remembered_;          // timeline rows not yet saved, JSON
    std::int64_t remembered_at_ms_ = 0;
    v1::Stage stage_;
    bool licensed_song_ = false;
    std::int64_t ticker_from_ms_ = 0;  // none before, steady clock
    std::int64_t position_ = 0;        // 48 kHz samples, at position_at_ms_
    std::int64_t position_at_ms_ = 0;  // steady clock
    std::int64_t unended_show_ = 0;    // whose end is not written yet
    std::int64_t end_again_ms_ = 0;
    std::int64_t singer_until_ms_ = 0; // steady clock; 0: the singer is here
    std::int64_t still_until_ms_ = 0;  // steady clock
    std::uint32_t media_sequence_ = 0;
    std::deque<event> media_kept_;
    song_queue queue_;
    std::int64_t queue_version_ = 0;
    std::int32_t bumps_sold_ = 0;                // in this show
    std::optional<bump_on_stage> sung_bump_;     // of the performance on stage
    std::int64_t played_at_ms_ = 0;
    std::int64_t song_length_ = 0;  // samples
    backing_feed backing_;
    std::shared_ptr<const songs::ultrastar_song> notes_;  // null: not scored
    std::string song_hash_;
    songs::score_level level_ = songs::score_level::medium;
    std::int64_t saved_at_ms_ = 0;

    void count_listening(std::int64_t now);
    std::unordered_map<user_id, std::int64_t> listening_since_ms_;  // of logged-in members, while a show is open
    std::int32_t shown_listeners_ = -1;
    std::int64_t counted_at_ms_ = 0;
    std::int64_t presence_at_ms_ = 0;
    bool supporters_stale_ = true;
    std::int64_t supporters_at_ms_ = 0;
    std::shared_ptr<const v1::ServerFrame> supporters_;
    int busy_ = 0;
};

}  // namespace ovation::rooms
