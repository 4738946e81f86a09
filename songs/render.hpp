// A backing track from a song's own notes: guide melody and a simple accompaniment (bass and the triad that fits the bar).
#pragma once
#include <vector>

#include "songs/ultrastar.hpp"

namespace ovation::songs {

// 48 kHz mono, −1 … 1; ends two seconds after the last note.
std::vector<float> render_backing(const ultrastar_song& song);
// The same as an Ogg Opus file: 20 ms packets, 96 kb/s, an access point every five packets.
std::string encode_backing(const std::vector<float>& samples, const ultrastar_song& song);

}  // namespace ovation::songs
