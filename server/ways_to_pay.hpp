// The providers that this server's settings name.
#pragma once
#include "base/config.hpp"
#include "payments/provider.hpp"

namespace ovation::server {

// Throws a sentence (std::runtime_error) when a setting or a file is not what it must be.
payments::providers ways_to_pay(const config& c);

}  // namespace ovation::server
