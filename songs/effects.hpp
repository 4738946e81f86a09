// The voice's dress in the mix of a recording: gate, compressor, equaliser, reverb by the same figures as the pages use
// (web/src/audio/effects.ts; a test holds them together).
#pragma once
#include <string_view>
#include <vector>

namespace ovation::songs {

struct effect_figures {
    std::string_view name;
    double wet;          // share of reverb
    double seconds;      // until it has fallen by 60 dB
    double early;        // seconds before it begins
    double presence_db;  // at 3 kHz
    double low_hz;       // high pass
    double gate_db;      // below this the voice is closed
    double knee_db;      // above this it is compressed
    double ratio;
};
const effect_figures& effect_named(std::string_view name);  // unknown: off

struct stereo {
    std::vector<float> left, right;
};
// 48 kHz. The tail of the reverb is cut at the end.
stereo dress(std::vector<float> voice, const effect_figures& how);

}  // namespace ovation::songs
