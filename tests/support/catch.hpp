// Catch2, told how to print our results.
#pragma once
#include <catch2/catch.hpp>

#include "base/fault.hpp"

namespace Catch {
template <class T>
struct StringMaker<boost::system::result<T, ovation::fault>> {
    static std::string convert(const boost::system::result<T, ovation::fault>& r) { return r ? "a value" : "fault " + r.error().reason + ": " + r.error().message; }
};
}  // namespace Catch
