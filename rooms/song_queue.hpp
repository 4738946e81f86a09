// Who asked for which song, in a fair rotation: nobody's second request stands before another's first, and among equals who
// has waited longest since they were last sung for comes first. The next one is locked. Inserting never moves what stands
// before, so an estimate that was told stays honest; staff may move, skip, take a skip back and keep a place. A bumped request
// stands before all that are not, behind the locked one and those bumped earlier.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fault.hpp"
#include "base/ids.hpp"
#include "ovation/v1/live.pb.h"

namespace ovation::rooms {

class song_queue {
public:
    struct request {
        std::int64_t id = 0;
        user_id user;      // none: staff asked for somebody without a phone, named by `name`
        std::string name;
        std::int64_t song = 0;
        std::string title, artist;
        int key = 0;
        std::int64_t duration_ms = 0;
        bool held = false;  // keeps its place, is passed over
        bool bumped = false;
    };
    result<std::int64_t> add(request r);
    // Leaves the queue; a skipped one can be taken back while it is the last that was skipped.
    result<request> take(std::int64_t id);
    result<void> skip(std::int64_t id);
    result<void> undo_skip();
    result<void> move(std::int64_t id, int index);
    result<void> hold(std::int64_t id, bool held);
    // Whether it may be bumped, and the move itself: once for each request, never the locked one, never past it.
    [[nodiscard]] result<void> can_bump(std::int64_t id) const;
    result<void> bump(std::int64_t id);
    // A bump that nothing paid for: it keeps its place.
    void forget_bump(std::int64_t id);
    // It is sung now: its asker waits from here on.
    result<request> sing(std::int64_t id, std::int64_t now_ms);
    [[nodiscard]] const request* find(std::int64_t id) const;
    // The one that was skipped last and can be taken back; null: none.
    [[nodiscard]] const request* skipped() const { return skipped_ ? &skipped_->first : nullptr; }
    [[nodiscard]] const std::vector<request>& all() const { return order_; }
    [[nodiscard]] bool empty() const { return order_.empty(); }

    // As all see it; `rest_ms`: of the song on stage.
    [[nodiscard]] v1::Queue shown(std::int64_t rest_ms) const;
    // The same message restores it.
    void restore(const v1::Queue& from);

private:
    [[nodiscard]] std::optional<std::size_t> place(std::int64_t id) const;
    [[nodiscard]] std::size_t locked() const;  // the first that is not held; 0 when all are
    [[nodiscard]] std::int64_t last_sung(const request& r) const;
    std::vector<request> order_;
    std::optional<std::pair<request, std::size_t>> skipped_;
    std::unordered_map<user_id, std::int64_t> sung_at_ms_;
    std::int64_t next_id_ = 1;
};

}  // namespace ovation::rooms
