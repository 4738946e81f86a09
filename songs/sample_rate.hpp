// Samples a second of all sound here: what Opus and WebCodecs speak.
#pragma once

namespace ovation::songs {
inline constexpr int sample_rate = 48'000;
}  // namespace ovation::songs
