#include "songs/effects.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "songs/sample_rate.hpp"

namespace ovation::songs {
namespace {
constexpr std::array<effect_figures, 4> figures{{
    {"off", 0, 0.1, 0, 0, 20, -90, 0, 1},
    {"ktv", 0.3, 1.3, 0.03, 4, 110, -52, -22, 3},
    {"hall", 0.34, 2.4, 0.045, 1, 80, -55, -18, 2},
    {"studio", 0.1, 0.5, 0.01, 2.5, 90, -52, -24, 3},
}};

double from_db(double db) { return std::pow(10.0, db / 20.0); }

struct biquad {
    double b0, b1, b2, a1, a2;
    double x1 = 0, x2 = 0, y1 = 0, y2 = 0;
    double run(double x) {
        const double y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2;
        x2 = x1;
        x1 = x;
        y2 = y1;
        y1 = y;
        return y;
    }
};
// Audio EQ Cookbook, as Web Audio has them.
biquad high_pass(double hz) {
    const double w = 2 * std::numbers::pi * hz / sample_rate, c = std::cos(w), alpha = std::sin(w) / (2 * from_db(1)), a0 = 1 + alpha;
    return {(1 + c) / 2 / a0, -(1 + c) / a0, (1 + c) / 2 / a0, -2 * c / a0, (1 - alpha) / a0};
}
biquad peak(double hz, double q, double db) {
    const double w = 2 * std::numbers::pi * hz / sample_rate, c = std::cos(w), alpha = std::sin(w) / (2 * q), a = std::pow(10.0, db / 40.0), a0 = 1 + alpha / a;
    return {(1 + alpha * a) / a0, -2 * c / a0, (1 - alpha * a) / a0, -2 * c / a0, (1 - alpha / a) / a0};
}

// Envelope follower with a gate below and a ratio above; makes up half of what the ratio takes at full level.
void level(std::vector<float>& x, const effect_figures& f) {
    if (f.ratio <= 1) return;
    const double attack = std::exp(-1 / (0.005 * sample_rate)), release = std::exp(-1 / (0.12 * sample_rate));
    const double makeup = -f.knee_db * (1 - 1 / f.ratio) / 2;
    double envelope = 0, open = 0;
    for (auto& v : x) {
        const double a = std::abs(static_cast<double>(v));
        envelope = a > envelope ? a + (envelope - a) * attack : a + (envelope - a) * release;
        const double db = 20 * std::log10(std::max(envelope, 1e-6));
        const double wanted = db < f.gate_db ? 0 : 1;
        open += (wanted - open) * (wanted > open ? 1 - attack : 1 - release);
        const double over = std::max(0.0, db - f.knee_db);
        v = static_cast<float>(v * open * from_db(makeup - over * (1 - 1 / f.ratio)));
    }
}

// Four combs and two all-passes on each side (Schroeder), late by `early`.
std::vector<float> reverb(const std::vector<float>& x, const effect_figures& f, int spread) {
    std::vector<float> out(x.size(), 0.0f);
    const auto delay = static_cast<std::size_t>(f.early * sample_rate);
    for (const int base : {1'687, 1'601, 2'053, 2'251}) {
        std::vector<double> line(static_cast<std::size_t>(base + spread), 0.0);
        const double feedback = std::pow(10.0, -3.0 * static_cast<double>(line.size()) / sample_rate / f.seconds);
        double damped = 0;
        std::size_t at = 0;
        for (std::size_t i = delay; i < x.size(); ++i) {
            const double y = line[at];
            damped = y * 0.75 + damped * 0.25;
            line[at] = static_cast<double>(x[i - delay]) + damped * feedback;
            at = at + 1 == line.size() ? 0 : at + 1;
            out[i] += static_cast<float>(y * 0.35);
        }
    }
    for (const int base : {241, 83}) {
        std::vector<double> line(static_cast<std::size_t>(base + spread / 4), 0.0);
        std::size_t at = 0;
        for (auto& v : out) {
            const double held = line[at];
            const double in = static_cast<double>(v) + held * 0.5;
            v = static_cast<float>(held - in * 0.5);
            line[at] = in;
            at = at + 1 == line.size() ? 0 : at + 1;
        }
    }
    return out;
}
}  // namespace

const effect_figures& effect_named(std::string_view name) {
    const auto at = std::ranges::find(figures, name, &effect_figures::name);
    return at == figures.end() ? figures[0] : *at;
}

stereo dress(std::vector<float> voice, const effect_figures& f) {
    level(voice, f);
    auto low = high_pass(f.low_hz);
    auto presence = peak(3'000, 0.9, f.presence_db);
    for (auto& v : voice) v = static_cast<float>(presence.run(low.run(static_cast<double>(v))));
    stereo out{voice, std::move(voice)};
    if (f.wet <= 0) return out;
    const auto left = reverb(out.left, f, 0), right = reverb(out.left, f, 37);
    for (std::size_t i = 0; i < out.left.size(); ++i) {
        out.left[i] += static_cast<float>(f.wet) * left[i];
        out.right[i] += static_cast<float>(f.wet) * right[i];
    }
    return out;
}

}  // namespace ovation::songs
