// What the posting queue takes and what it answers.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/pg.hpp"
#include "base/uuid.hpp"

namespace ovation::ledger {

// The precedence is the order: the first that holds is the answer. `posted` and `replayed` are done; the others are
// refusals and are not stored: the same key may succeed later.
enum class status : std::int16_t {
    posted = 0,
    replayed = 1,            // the key is known with the same content: the first result again
    key_reused = 2,          // the key is known with other content
    refused_by_caller = 3,   // the key is new, and the caller said `lookup_only`
    invalid = 4,
    unknown_account = 5,
    unknown_route = 6,
    insufficient_coins = 7,
    account_frozen = 8,
    spend_limit = 9,
};

// Carried from the caller to the commit observer, untouched by the ledger.
struct command_context {
    virtual ~command_context() = default;
};

struct gift_command {
    uuid key;
    user_id payer;
    route_id route;
    std::int64_t price = 0;   // micros
    std::int64_t item = 0;    // gifts.gift_version
    std::int32_t quantity = 0;
    room_id room;
    performance_id performance;
    // Only answers for a known key; a new one is `refused_by_caller` (price changed, room closed, key too old, …).
    bool lookup_only = false;
    std::int64_t deadline_ms = 0;  // clock_source::steady_ms(); who has waited for longer is not paid any more, as with lookup_only. 0: none
    std::shared_ptr<command_context> context;
};

struct entry_command {
    std::string kind;
    std::string key;
    std::vector<std::pair<std::string, std::int64_t>> legs;  // account name, micros; sum zero
    std::string reference;
    std::string detail_json = "{}";
};

// A mark in the order of the books, or a state of a payout or a case through which no money moves.
inline bool may_move_nothing(std::string_view kind) { return kind == "marker" || kind == "chargeback_responded" || kind == "case_opened" || kind == "case_dismissed" || kind.starts_with("payout_"); }

using command = std::variant<gift_command, entry_command>;

struct outcome {
    ledger::status state = status::invalid;
    entry_seq seq;
    // Of the payer, after this command, in micros; gifts only.
    std::int64_t paid = 0, gift_only = 0, bonus = 0;
    // What the commit observer wrote down for the caller (gifts/: the combo).
    std::int64_t note_id = 0;
    std::int32_t note_total = 0;
};

// A committed gift, in commit order.
struct committed_gift {
    entry_seq seq;
    bool replayed = false;  // committed before; the observer skips what it has already shown
    const gift_command* command = nullptr;
    outcome* answer = nullptr;
};

// Called on the ledger's thread after COMMIT and before any reply: nothing is shown before it is paid.
class commit_observer {
public:
    virtual ~commit_observer() = default;
    // This server has become the writer, and the books stand at `head`: what was committed and perhaps never announced
    // (a crash between COMMIT and announcement, a COMMIT whose answer was lost) can be read there.
    virtual awaitable<void> on_takeover(pg::connection&, entry_seq) { co_return; }
    virtual void on_commit(std::vector<committed_gift>& gifts, entry_seq head) = 0;
    // Another server writes, and the books stand at `head`. Some times a second.
    virtual awaitable<void> on_follow(pg::connection&, entry_seq) { co_return; }
};

// The same gift, only asked after: it may be in the books, and it is not to be paid later than its caller may have heard "no"
// elsewhere. `answer` is told a fault when it is not there.
inline std::function<void(result<outcome>)> only_look(gift_command& g, std::function<void(result<outcome>)> answer) {
    if (g.lookup_only) return answer;
    g.lookup_only = true;
    return [answer = std::move(answer)](result<outcome> r) {
        if (r && r->state == status::refused_by_caller) answer(unavailable("ledger_unavailable", "Gifts cannot be paid at the moment. Nothing was charged; try again in a moment."));
        else answer(std::move(r));
    };
}

// Carries commands to the server that writes, while another one does. Any thread; each is answered once, and may be given back to
// the queue when this server has become the writer.
class forwarder {
public:
    virtual ~forwarder() = default;
    virtual void forward(command what, std::function<void(result<outcome>)> answer) = 0;
};

}  // namespace ovation::ledger
