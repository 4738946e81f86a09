// What recordings cost and what a crash takes from them; a part of the stage's bench.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "songs/rendition.hpp"

namespace ovation::bench {

struct recording_figures {
    double mix_cpu_ms_per_s = 0;      // of the mix: decode two, dress, measure, encode (AAC apart)
    double loss_ms_max = 0;           // of kills at random moments, a singer in real time
    int kills = 0;
    std::vector<double> seek_ms;      // open a file of 240 s, find the page, decode up to the sample
};
recording_figures measure_recordings(const std::vector<std::string>& voice, const std::shared_ptr<const songs::rendition>& backing);

}  // namespace ovation::bench
