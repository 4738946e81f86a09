#include "base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace ovation::log {
namespace {
std::shared_ptr<spdlog::logger>& logger() {
    static auto one = [] {
        auto made = std::make_shared<spdlog::logger>("ovation", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
        return made;
    }();
    return one;
}
}  // namespace

void start(std::string_view least_level) {
    logger()->set_level(spdlog::level::from_str(std::string(least_level)));
    logger()->flush_on(spdlog::level::info);
}

void write(level l, std::string_view component, std::string_view event, std::string_view fields) {
    constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err};
    logger()->log(levels[static_cast<int>(l)], "{} {} {}", component, event, fields);
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (c == '\n') {
            out += "\\n";
            continue;
        }
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out + "\"";
}

}  // namespace ovation::log
