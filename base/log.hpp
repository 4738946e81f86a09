// Structured log lines: `ts level component event key=value …`, one line where a thing is handled.
#pragma once
#include <spdlog/fmt/fmt.h>

#include <string>
#include <string_view>

namespace ovation::log {

enum class level { debug, info, warn, error };
void start(std::string_view least_level);
void write(level l, std::string_view component, std::string_view event, std::string_view fields);

// log::info("ledger", "batch_posted", "size={} dur_ms={}", n, ms). Values with blanks: pass through quoted().
std::string quoted(std::string_view text);
template <class... Args>
void info(std::string_view component, std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
    write(level::info, component, event, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(std::string_view component, std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
    write(level::warn, component, event, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(std::string_view component, std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
    write(level::error, component, event, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace ovation::log
