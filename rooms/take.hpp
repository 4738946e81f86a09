// One singer's take of a performance while it is sung: packets go to the scorer on a worker thread, one batch at a time, and
// verdicts come back to the room's core. At the end the take is judged by both sets of rules and kept.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/cores.hpp"
#include "base/worker_pool.hpp"
#include "ovation/v1/live.pb.h"
#include "songs/scorer.hpp"

namespace ovation::rooms {

class take : public std::enable_shared_from_this<take> {
public:
    struct parts {
        core& home;
        worker_pool& workers;
        performance_id performance;
        user_id singer;
        std::string song_hash;
        std::function<void(const v1::LineScore&)> line;
    };
    take(parts p, std::shared_ptr<const songs::ultrastar_song> song, songs::judge_options how, std::shared_ptr<const songs::rendition> backing);

    // Position of the first decoded sample; packets of 20 ms.
    void feed(std::int64_t position, const v1::Media& message);
    // After this nothing is fed any more. Nothing: nothing was sung.
    awaitable<std::optional<v1::ScoreTotal>> finish();
    [[nodiscard]] std::int32_t points() const { return points_; }

private:
    struct message {
        std::int64_t position;
        std::vector<std::string> packets;
    };
    awaitable<void> work();
    parts p_;
    std::shared_ptr<songs::scorer> scorer_;  // on a worker while busy_
    std::vector<message> waiting_;
    bool busy_ = false;
    bool fed_ = false;
    std::int32_t points_ = 0;
};

}  // namespace ovation::rooms
