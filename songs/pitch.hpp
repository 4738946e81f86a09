// The pitch of a singing voice: McLeod's method (normalised square difference, "A smarter way to find pitch", 2005), direct,
// at 16 kHz. Figures beside other methods: docs/formats.md, "Pitch".
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ovation::songs {

inline constexpr int pitch_rate = 16'000;
inline constexpr int pitch_window = 512;  // samples: 32 ms
inline constexpr int pitch_hop = 160;     // samples: 10 ms
inline constexpr double pitch_low_hz = 65, pitch_high_hz = 1'100;
inline constexpr float clarity_min = 0.5f;
inline constexpr float level_min = 0.00316f;  // −50 dBFS, root mean square

struct pitch_frame {
    float semitones = 0;  // from C4
    float clarity = 0;    // 0 … 1
    float level = 0;      // root mean square
};
// Σ a[i]·b[i] in eight sums of their own: the compiler may use vectors without -ffast-math.
float dot(const float* a, const float* b, int count);
// `window`: pitch_window samples. Nothing: no voice in it.
std::optional<pitch_frame> find_pitch(std::span<const float> window);

// What a singer's pitch was along the song: one value each 10 ms of song position, in cents from C4. The only input of a
// score, so the stored one scores the same bit for bit.
class pitch_track {
public:
    static constexpr std::int64_t slot_samples = 480;  // 48 kHz
    static constexpr std::int16_t never_heard = -32768, unvoiced = -32767;

    // Song position of the window's middle. Singing a place again replaces what was there.
    void put(std::int64_t position, std::optional<pitch_frame> heard);
    [[nodiscard]] std::int16_t at(std::int64_t position) const { return in_slot(slot_of(position)); }
    [[nodiscard]] std::int16_t in_slot(std::int64_t slot) const {
        const auto i = slot - first_;
        return i < 0 || i >= static_cast<std::int64_t>(cents_.size()) ? never_heard : cents_[static_cast<std::size_t>(i)];
    }
    static std::int64_t slot_of(std::int64_t position) { return position >= 0 ? position / slot_samples : -((-position + slot_samples - 1) / slot_samples); }
    [[nodiscard]] std::int64_t first_slot() const { return first_; }
    [[nodiscard]] std::int64_t slots() const { return static_cast<std::int64_t>(cents_.size()); }
    [[nodiscard]] std::int64_t voiced_ms() const;
    [[nodiscard]] std::int64_t heard_ms() const;

    // First slot and values, little-endian.
    [[nodiscard]] std::string bytes() const;
    static std::optional<pitch_track> from_bytes(std::string_view bytes);
    bool operator==(const pitch_track&) const = default;

private:
    std::int64_t first_ = 0;
    std::vector<std::int16_t> cents_;
};

}  // namespace ovation::songs
