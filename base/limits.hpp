// Every limit of the wire and of the rooms, once (rules.md section 10, design.md section 4).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/rate_limiter.hpp"

namespace ovation::limits {

inline constexpr rate gift_sends_per_user{10, 30};
inline constexpr rate chat_per_user{1, 5};
inline constexpr rate top_ups_per_user{5.0 / 600.0, 5};
inline constexpr rate commands_per_socket{20, 40};
inline constexpr rate song_requests_per_user{2, 20};  // asked for and taken back; everybody is sent the whole queue each time
inline constexpr rate media_messages_per_publisher{60, 60};
inline constexpr rate media_bytes_per_publisher{160'000.0 / 8.0, 160'000.0 / 8.0 * 2};
inline constexpr rate connections_per_address{50, 200};
inline constexpr rate log_ins_per_address{2, 20};

inline constexpr std::size_t command_bytes_max = 8 * 1024;
inline constexpr std::size_t media_bytes_max = 8 * 1024;
inline constexpr std::size_t http_header_bytes_max = 16 * 1024;
inline constexpr std::int64_t node_clock_ms_max = 60'000;  // between the clocks of two servers of one installation
inline constexpr std::size_t rpc_body_bytes_max = 1024 * 1024;
inline constexpr std::size_t rpc_file_bytes_max = 8 * 1024 * 1024;  // of an RPC that carries a file, from who may call it
inline constexpr std::int64_t rpc_file_deadline_ms = 120'000;
inline constexpr std::size_t webhook_body_bytes_max = 256 * 1024;
inline constexpr std::size_t search_bytes_max = 200;
inline constexpr int json_depth_max = 32;
inline constexpr int sockets_per_user = 5;
inline constexpr std::int64_t handshake_deadline_ms = 5'000;
inline constexpr std::int64_t idle_without_ping_ms = 30'000;
inline constexpr std::int64_t http_keep_alive_ms = 60'000;

inline constexpr std::size_t chat_characters_max = 200;
inline constexpr std::size_t requests_per_user = 3;
inline constexpr std::size_t requests_per_room = 100;
inline constexpr std::int64_t bump_price_coins_max = 200'000;
inline constexpr std::int32_t bumps_per_show_max = 1'000;
inline constexpr std::int64_t bump_sung_ms = 30'000;  // a song of which less was played is not a song sung
inline constexpr std::size_t chat_kept = 50;
inline constexpr std::size_t chat_behind_frames_max = 64;
inline constexpr std::int64_t chat_behind_ms_max = 5'000;
inline constexpr std::size_t gift_class_behind_bytes_max = 256 * 1024;
inline constexpr std::int64_t gift_class_behind_ms_max = 10'000;
inline constexpr std::int64_t media_behind_extra_ms = 400;
inline constexpr std::int64_t media_behind_ms_max = 2'500;
inline constexpr std::size_t media_kept_for_joiner = 5;
// At most one line about large gifts elsewhere in so long; more are left out.
inline constexpr std::int64_t ticker_every_ms = 3'000;
// How long a room believes who shares in a gift: a contract that ends at midnight ends that late at most. One that is decided or
// ended in between counts at once.
inline constexpr std::int64_t route_kept_ms = 5'000;
inline constexpr std::int64_t stage_kept_ms = 90'000;
inline constexpr std::int64_t song_over_ms = 2'000;         // behind its last sample a song ends by itself
inline constexpr std::size_t seats_per_stage = 2;
inline constexpr std::int64_t duet_hold_ms = 250;          // how long one voice waits for the other
inline constexpr std::int64_t duet_apart_ms = 150;         // voices that come further apart than this: the second singer is told to move
inline constexpr std::int64_t duet_told_every_ms = 4'000;
inline constexpr std::int64_t duet_start_ahead_ms = 1'500; // from the word "play" to the first note, for the pages to agree on the moment
inline constexpr std::int64_t sings_for_ms = 1'000;        // without a message: does not sing any more
inline constexpr std::int64_t clock_jump_ms = 5'000;       // a publisher's clock this far off is another clock
inline constexpr std::int64_t history_ms = 600'000;
inline constexpr std::size_t history_events_max = 4'096;
inline constexpr int gifts_told_again_max = 2'000;  // to whoever resumes in another epoch; who missed more is told to reload
inline constexpr std::size_t sends_per_slice = 256;
inline constexpr std::array<std::string_view, 5> scenes{"dusk", "garden", "lanterns", "sea", "snow"};  // behind the singer

inline constexpr std::int64_t gift_key_past_ms = 7LL * 24 * 3600 * 1000;
inline constexpr std::int64_t gift_key_future_ms = 3600 * 1000;
inline constexpr std::int64_t send_cap_coins = 200'000;
inline constexpr std::int64_t hold_above_coins = 50'000;
inline constexpr std::int64_t daily_limit_coins = 200'000;
inline constexpr std::int64_t daily_limit_coins_max = 100'000'000;
inline constexpr std::int64_t free_gift_after_ms = 600'000;
inline constexpr std::int64_t combo_window_ms = 3'000;
inline constexpr std::int64_t bonus_coins_max = 100'000;         // of one grant
inline constexpr std::int64_t top_up_asked_again_s = 3;          // the provider is asked after an order at most so often,
inline constexpr std::int64_t top_up_asked_every_s = 120;        // at least so often while nobody else does,
inline constexpr std::int64_t top_up_over_after_s = 900;         // and an order is given up only when it is so old, and the provider says that it is over
inline constexpr std::size_t ledger_batch_max = 4'000;
inline constexpr std::size_t ledger_queue_max = 20'000;

inline constexpr std::int64_t access_token_ms = 15 * 60 * 1000;
inline constexpr std::int64_t refresh_token_ms = 30LL * 24 * 3600 * 1000;
inline constexpr std::int64_t refresh_again_ms = 30 * 1000;  // that long a spent one is taken again, whose answer may have been lost
inline constexpr int money_listed_max = 500;                       // rows of ListPayouts, ListCases

static_assert(media_bytes_max <= gift_class_behind_bytes_max, "one message must fit an outbox");
static_assert(ledger_batch_max <= ledger_queue_max);
static_assert(hold_above_coins <= send_cap_coins && send_cap_coins <= daily_limit_coins);
static_assert(access_token_ms < refresh_token_ms);

}  // namespace ovation::limits
