// `ovation demo`: role-named people, a channel, rooms, and bots that sing, chat and give; and the command-line publisher.
#pragma once
#include <cstdint>
#include <string>

namespace ovation::server {

inline constexpr const char* demo_password = "ovation-demo";

struct demo_options {
    std::string url = "http://127.0.0.1:8080", ca;
    std::int64_t seconds = 0;
};
int run_demo(const demo_options& options);

struct publish_options {
    std::string file, url = "http://127.0.0.1:8080", ca, handle, password;
    std::int64_t room = 0, song = 0, seconds = 0;
};
int run_publish(const publish_options& options);

}  // namespace ovation::server
