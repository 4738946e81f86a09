#include "base/cores.hpp"

namespace ovation {
namespace {
thread_local core* this_core = nullptr;
}

cores::cores(std::size_t count, const std::string& conninfo, std::size_t connections_per_core) {
    for (std::size_t i = 0; i < count; ++i) all_.push_back(std::make_unique<core>(i, conninfo, connections_per_core));
}
cores::~cores() { join(); }

void cores::start() {
    for (auto& c : all_) {
        guards_.emplace_back(c->context.get_executor());
        threads_.emplace_back([one = c.get()] {
            this_core = one;
            one->context.run();
            one->db.close();
        });
    }
}
void cores::join() {
    guards_.clear();
    for (auto& t : threads_) t.join();
    threads_.clear();
}
core& cores::here() { return this_core ? *this_core : *all_.front(); }

}  // namespace ovation
