// Keeps one singer's packets while they sing: on a worker, in order, on the disk within a second.
#pragma once
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/cores.hpp"
#include "base/worker_pool.hpp"
#include "ovation/v1/live.pb.h"
#include "songs/recording.hpp"

namespace ovation::rooms {

class recorder : public std::enable_shared_from_this<recorder> {
public:
    recorder(core& home, worker_pool& workers, std::filesystem::path file, std::vector<std::pair<std::string, std::string>> tags);
    // A message of a song, with the room's media time.
    void feed(const v1::Media& message);
    // Everything is on the disk; how much was sung, in samples.
    awaitable<std::int64_t> finish();

private:
    struct piece {
        std::int64_t media_time, position;
        std::vector<std::string> packets;
    };
    awaitable<void> work();
    core& home_;
    worker_pool& workers_;
    std::shared_ptr<songs::recording_writer> file_;  // on a worker while busy_
    std::deque<piece> waiting_;
    bool busy_ = false;
    bool failed_ = false;
};

}  // namespace ovation::rooms
