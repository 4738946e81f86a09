// Tells rooms what was paid, after COMMIT and in commit order, each gift once. Runs on the ledger's thread; owns the combos.
#pragma once
#include <atomic>
#include <memory>
#include <unordered_map>

#include "base/clock.hpp"
#include "gifts/catalogue.hpp"
#include "ledger/command.hpp"
#include "ovation/v1/live.pb.h"

namespace ovation::gifts {

// Who receives and where the song stood, as the sender's command was judged.
struct gift_context final : ledger::command_context {
    std::string sender_name;
    user_id singer;
    gift_id gift;
    std::int64_t coins = 0;
    reach told_to = reach::room;
    std::optional<std::int64_t> song_position;
};

// Where announcements go; implemented by the wiring over rooms/.
class gift_display {
public:
    virtual ~gift_display() = default;
    virtual void show(room_id room, std::shared_ptr<const v1::GiftShown> gift, reach told_to) = 0;
};

// A gift as the journal has it: no combo, marked as earlier.
v1::GiftShown gift_from_books(const pg::rows& r, int row);

class announcer final : public ledger::commit_observer {
public:
    announcer(const clock_source& clock, gift_display& display) : clock_(clock), display_(display) {}
    // Before the queue starts: what is in the books already is not news.
    void start_after(entry_seq head) { shown_ = head; }
    void on_commit(std::vector<ledger::committed_gift>& gifts, entry_seq head) override;
    // Shows what the books have and nobody has announced.
    awaitable<void> on_takeover(pg::connection& db, entry_seq head) override;
    // What another server commits is shown here too, from the books.
    awaitable<void> on_follow(pg::connection& db, entry_seq head) override;
    // Everything up to here has been handed to the rooms. Any thread.
    [[nodiscard]] entry_seq announced() const { return shown_; }

private:
    struct combo_key {
        std::int64_t payer, singer, gift, room;
        auto operator<=>(const combo_key&) const = default;
    };
    struct combo_hash {
        std::size_t operator()(const combo_key& k) const noexcept {
            std::size_t h = 0;
            for (const auto v : {k.payer, k.singer, k.gift, k.room}) h = h * 1'000'003 + static_cast<std::size_t>(v);
            return h;
        }
    };
    struct combo {
        std::int64_t id = 0;
        std::int32_t total = 0;
        std::int64_t last_ms = 0;
    };
    // The sum of a payer's quick gifts of one kind to one singer, this one included.
    combo& count(std::int64_t payer, std::int64_t singer, std::int64_t gift, std::int64_t room, std::int64_t seq, std::int32_t quantity, std::int64_t now);
    awaitable<void> show_from_books(pg::connection& db, entry_seq head, bool late);
    void sweep(std::int64_t now);

    const clock_source& clock_;
    gift_display& display_;
    std::atomic<entry_seq> shown_{};
    std::unordered_map<combo_key, combo, combo_hash> combos_;
    std::int64_t swept_ms_ = 0;
};

}  // namespace ovation::gifts
