// A stable sort by one member. (std::stable_sort of libstdc++ 12 warns under clang-19: it uses a deprecated buffer.)
#pragma once
#include <algorithm>
#include <numeric>
#include <vector>

namespace ovation::songs {

template <class T, class Key>
void put_in_order(std::vector<T>& items, Key key) {
    std::vector<std::size_t> order(items.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
        const auto x = key(items[a]), y = key(items[b]);
        return x < y || (x == y && a < b);
    });
    std::vector<T> out;
    out.reserve(items.size());
    for (const auto i : order) out.push_back(std::move(items[i]));
    items = std::move(out);
}

}  // namespace ovation::songs
