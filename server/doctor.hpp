// `ovation doctor`: looks at a running installation and changes nothing.
#pragma once
#include <string>
#include <vector>

#include "base/config.hpp"
#include "base/pg.hpp"

namespace ovation::server {

struct finding {
    enum class grade { ok, warn, bad };
    std::string name;    // "postgresql", "disk"
    grade how = grade::ok;
    std::string detail;  // what was seen and, unless ok, what to do
};
awaitable<result<std::vector<finding>>> examine(pg::pool& db, config options);

}  // namespace ovation::server
