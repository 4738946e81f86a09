#include "base/rpc.hpp"

#include <stdexcept>

namespace ovation {

const rpc_table::handler* rpc_table::find(const std::string& method) const {
    const auto at = handlers_.find(method);
    return at == handlers_.end() ? nullptr : &at->second;
}
void rpc_table::insert(const std::string& method, handler h) {
    if (!handlers_.emplace(method, std::move(h)).second) throw std::logic_error("two handlers for " + method);
}

}  // namespace ovation
