// The whole server, wired visibly by constructors: who is handed what.
#pragma once
#include <memory>

#include "base/config.hpp"

namespace ovation::server {

// What `ovation check` and a start refuse alike, before anything is opened: throws a sentence that names the setting.
void check_settings(const config& c);

class application {
public:
    explicit application(config options);
    ~application();
    application(const application&) = delete;
    application& operator=(const application&) = delete;

    // Serves until SIGTERM or SIGINT; returns the exit code. Throws with a sentence for people when it cannot start.
    int run();

private:
    struct parts;
    std::unique_ptr<parts> parts_;
};

}  // namespace ovation::server
