#include "base/metrics.hpp"

#include <spdlog/fmt/fmt.h>

namespace ovation {
namespace {
std::string_view family(std::string_view name) { return name.substr(0, name.find('{')); }

template <class Items>
auto& add(std::mutex& mutex, Items& items, std::string_view name, std::string_view help) {
    std::scoped_lock lock(mutex);
    for (auto& item : items)
        if (item.name == name) return item.value;
    auto& made = items.emplace_back();
    made.name = name;
    made.help = help;
    return made.value;
}

void head(std::string& out, std::string_view& last, std::string_view name, std::string_view help, std::string_view type) {
    if (family(name) == last) return;
    last = family(name);
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", last, help, last, type);
}
}  // namespace

histogram::counts histogram::now() const {
    counts out{};
    for (std::size_t i = 0; i < buckets_.size(); ++i) out[i] = buckets_[i].load(std::memory_order_relaxed);
    return out;
}
double histogram::quantile(const counts& before, const counts& after, double q) {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < after.size(); ++i) total += after[i] - before[i];
    if (total == 0) return 0;
    double left = q * static_cast<double>(total);
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        const auto here = static_cast<double>(after[i] - before[i]);
        const double low = i == 0 ? 0 : bounds[i - 1];
        if (left <= here) return low + (bounds[i] - low) * left / here;
        left -= here;
    }
    return bounds.back();
}

void histogram::write(std::string& out, std::string_view name) const {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        total += buckets_[i].load(std::memory_order_relaxed);
        out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, i < bounds.size() ? fmt::format("{}", bounds[i]) : "+Inf", total);
    }
    out += fmt::format("{}_sum {}\n{}_count {}\n", name, static_cast<double>(sum_us_.load(std::memory_order_relaxed)) / 1e6, name, total);
}

counter& metrics::make_counter(std::string_view name, std::string_view help) { return add(mutex_, counters_, name, help); }
gauge& metrics::make_gauge(std::string_view name, std::string_view help) { return add(mutex_, gauges_, name, help); }
histogram& metrics::make_histogram(std::string_view name, std::string_view help) { return add(mutex_, histograms_, name, help); }

std::string metrics::text() const {
    std::scoped_lock lock(mutex_);
    std::string out;
    std::string_view last;
    for (const auto& c : counters_) {
        head(out, last, c.name, c.help, "counter");
        out += fmt::format("{} {}\n", c.name, c.value.value());
    }
    for (const auto& g : gauges_) {
        head(out, last, g.name, g.help, "gauge");
        out += fmt::format("{} {}\n", g.name, g.value.value());
    }
    for (const auto& h : histograms_) {
        head(out, last, h.name, h.help, "histogram");
        h.value.write(out, h.name);
    }
    return out;
}

}  // namespace ovation
