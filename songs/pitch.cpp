#include "songs/pitch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

namespace ovation::songs {
namespace {
constexpr int lag_min = static_cast<int>(pitch_rate / pitch_high_hz);      // 14
constexpr int lag_max = static_cast<int>(pitch_rate / pitch_low_hz) + 1;   // 247
constexpr float peak_share = 0.88f;  // McLeod's k: the first peak this near to the highest one is the pitch
constexpr double hertz_c4 = 261.6255653005986;
constexpr std::size_t lanes = 8;
constexpr std::int64_t position_slots_max = 6'000 * 60;  // an hour each way
static_assert(lag_max < pitch_window);

}  // namespace

// A sanitizer's start-up comes after the choice of a clone, and cannot bear it.
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define OVATION_CLONES
#else
#define OVATION_CLONES __attribute__((target_clones("avx2", "default")))
#endif
// Eight lanes are one register of AVX2 or two of SSE2: the sums are the same, bit for bit.
OVATION_CLONES float dot(const float* a, const float* b, int count) {
    std::array<float, lanes> sums{};
    int i = 0;
    for (; i + static_cast<int>(lanes) <= count; i += static_cast<int>(lanes))
        for (std::size_t k = 0; k < lanes; ++k) sums[k] += a[i + static_cast<int>(k)] * b[i + static_cast<int>(k)];
    float rest = 0;
    for (; i < count; ++i) rest += a[i] * b[i];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest;
}
std::optional<pitch_frame> find_pitch(std::span<const float> window) {
    const float* x = window.data();
    constexpr int size = pitch_window;
    const float energy = dot(x, x, size);
    pitch_frame out;
    out.level = std::sqrt(energy / static_cast<float>(size));
    if (out.level < level_min) return std::nullopt;

    // n(lag) = 2·Σ x[j]x[j+lag] / Σ (x[j]² + x[j+lag]²)
    std::array<float, lag_max + 2> n{};
    float squares = 2 * energy;
    for (int lag = 1; lag <= lag_max + 1; ++lag) {
        squares -= x[lag - 1] * x[lag - 1] + x[size - lag] * x[size - lag];
        if (lag + 1 < lag_min) continue;
        n[static_cast<std::size_t>(lag)] = squares > 0 ? 2 * dot(x, x + lag, size - lag) / squares : 0;
    }
    // Peaks between zero crossings; the highest of each hill.
    std::array<int, 64> peaks{};
    std::size_t count = 0;
    float highest = 0;
    int best = 0;
    // The hill at lag 0 is no peak: first down below zero.
    int lag = lag_min;
    while (lag <= lag_max && n[static_cast<std::size_t>(lag)] > 0 && n[static_cast<std::size_t>(lag)] < n[static_cast<std::size_t>(lag - 1)]) ++lag;
    for (; lag <= lag_max; ++lag) {
        const float here = n[static_cast<std::size_t>(lag)];
        if (here > 0 && here >= n[static_cast<std::size_t>(lag - 1)] && here > n[static_cast<std::size_t>(lag + 1)]) {
            if (best == 0 || here > n[static_cast<std::size_t>(best)]) best = lag;
        }
        if ((here <= 0 || lag == lag_max) && best != 0) {
            if (count < peaks.size()) peaks[count++] = best;
            highest = std::max(highest, n[static_cast<std::size_t>(best)]);
            best = 0;
        }
    }
    if (count == 0 || highest < clarity_min) return std::nullopt;
    const int* chosen = std::find_if(peaks.data(), peaks.data() + count, [&](int p) { return n[static_cast<std::size_t>(p)] >= peak_share * highest; });
    const auto at = static_cast<std::size_t>(*chosen);
    const float left = n[at - 1], middle = n[at], right = n[at + 1];
    const float curve = left - 2 * middle + right;
    const float shift = curve < 0 ? std::clamp(0.5f * (left - right) / curve, -1.0f, 1.0f) : 0.0f;
    out.clarity = std::min(1.0f, middle);
    if (out.clarity < clarity_min) return std::nullopt;
    const double hertz = pitch_rate / (static_cast<double>(at) + static_cast<double>(shift));
    out.semitones = static_cast<float>(12 * std::log2(hertz / hertz_c4));
    return out;
}

void pitch_track::put(std::int64_t position, std::optional<pitch_frame> heard) {
    const auto slot = slot_of(position);
    if (std::abs(slot) > position_slots_max) return;
    const auto value = heard ? static_cast<std::int16_t>(std::lround(heard->semitones * 100)) : unvoiced;
    if (cents_.empty()) first_ = slot;
    if (slot < first_) {
        cents_.insert(cents_.begin(), static_cast<std::size_t>(first_ - slot), never_heard);
        first_ = slot;
    }
    const auto i = static_cast<std::size_t>(slot - first_);
    if (i >= cents_.size()) cents_.resize(i + 1, never_heard);
    cents_[i] = value;
}
std::int64_t pitch_track::voiced_ms() const {
    return 10 * std::ranges::count_if(cents_, [](std::int16_t c) { return c > unvoiced; });
}
std::int64_t pitch_track::heard_ms() const {
    return 10 * std::ranges::count_if(cents_, [](std::int16_t c) { return c != never_heard; });
}

std::string pitch_track::bytes() const {
    std::string out(sizeof first_ + cents_.size() * sizeof(std::int16_t), '\0');
    std::memcpy(out.data(), &first_, sizeof first_);
    if (!cents_.empty()) std::memcpy(out.data() + sizeof first_, cents_.data(), cents_.size() * sizeof(std::int16_t));
    return out;
}
std::optional<pitch_track> pitch_track::from_bytes(std::string_view bytes) {
    pitch_track out;
    if (bytes.size() < sizeof out.first_ || (bytes.size() - sizeof out.first_) % sizeof(std::int16_t) != 0) return std::nullopt;
    std::memcpy(&out.first_, bytes.data(), sizeof out.first_);
    out.cents_.resize((bytes.size() - sizeof out.first_) / sizeof(std::int16_t));
    if (!out.cents_.empty()) std::memcpy(out.cents_.data(), bytes.data() + sizeof out.first_, out.cents_.size() * sizeof(std::int16_t));
    return out;
}

}  // namespace ovation::songs
