// Seals the books by itself, on a thread and a connection of its own: what was posted becomes part of a signed checkpoint in a
// folder outside the database, which is served at /seals/.
#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/config.hpp"
#include "base/metrics.hpp"

namespace ovation::server {

class sealer {
public:
    // Nothing happens unless `seal_folder` is set.
    sealer(const config& c, metrics& registry);
    ~sealer() { stop(); }
    sealer(const sealer&) = delete;
    sealer& operator=(const sealer&) = delete;
    void start();
    // Seals once more what was posted meanwhile.
    void stop();

private:
    void run();
    void seal_once();
    const config& config_;
    gauge& sealed_;
    counter& failures_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::thread thread_;
};

// Throws a sentence when the settings of seals cannot work.
void check_seals(const config& c);

}  // namespace ovation::server
