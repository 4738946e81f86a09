// Sound from a song's own notes: a simple accompaniment (bass and the triad that fits the bar), the guide melody, a singer.
#pragma once
#include <vector>

#include "songs/ultrastar.hpp"

namespace ovation::songs {

// 48 kHz mono, −1 … 1; ends two seconds after the last note.
enum class part { accompaniment, guide };  // without and only the melody
std::vector<float> render(const ultrastar_song& song, part which, int semitones = 0);

// A synthetic singer: harmonics with formants of a vowel, gliding starts, a little vibrato; `cents` off the written pitch.
// For demos, tests and benches.
struct voice_options {
    double cents = 0;
    double vibrato_cents = 0;
    double octaves = 0;
    double glide_s = 0.02;  // from one note to the next
};
std::vector<float> render_voice(const std::vector<v1::LyricLine>& lines, std::int64_t samples, const voice_options& options = {});

}  // namespace ovation::songs
