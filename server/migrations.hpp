// The migrations, compiled in: name and text, in order.
#pragma once
#include <string>
#include <vector>

namespace ovation::server {
struct migration {
    const char* name;
    const char* sql;
};
const std::vector<migration>& migrations();
}  // namespace ovation::server
