// From a singer's Opus packets to a pitch track and verdicts, as they come. CPU work: lives on a worker thread, one batch at
// a time (rooms/ hands packets over and posts the verdicts to the room).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "songs/rendition.hpp"
#include "songs/score.hpp"

struct OpusDecoder;

namespace ovation::songs {

// Opus packets → track. Positions: 48 kHz samples of the first decoded sample, as media messages carry them.
class voice_reader {
public:
    voice_reader();
    // A message: packets of 20 ms from `position` on. A position off the expected one by more than 20 ms starts anew.
    void feed(std::int64_t position, const std::vector<std::string>& packets);
    // Plain samples at 16 kHz.
    void feed_samples(std::int64_t position, std::span<const float> samples);
    [[nodiscard]] const pitch_track& track() const { return track_; }
    // Up to here everything has been heard.
    [[nodiscard]] std::int64_t heard_to() const { return next_position_; }
    // The last second, for the probe of the backing.
    [[nodiscard]] std::span<const float> recent() const { return recent_; }
    [[nodiscard]] std::int64_t recent_position() const { return recent_position_; }

private:
    void analyse();
    std::unique_ptr<OpusDecoder, void (*)(OpusDecoder*)> decoder_;
    pitch_track track_;
    std::vector<float> held_;         // not yet behind a window
    std::int64_t held_position_ = 0;  // of held_[0]
    std::int64_t next_position_ = 0;
    bool fresh_ = true;
    std::vector<float> recent_;
    std::int64_t recent_position_ = 0;
};

struct verdict {
    line_score line;
    int points_so_far = 0;
};
struct suspicion {
    bool silent = false;     // hardly any voice inside the notes
    bool backing = false;    // the backing is in the microphone
    double voiced_share = 0;  // of the notes' time
    double backing_match = 0; // median of the probes' correlation
    int probes = 0;
};

class scorer {
public:
    // `backing`: for the probe; may be null.
    scorer(std::shared_ptr<const ultrastar_song> song, judge_options how, std::shared_ptr<const rendition> backing);
    // What became final by these packets: lines whose end lies 100 ms behind what was heard.
    std::vector<verdict> feed(std::int64_t position, const std::vector<std::string>& packets);
    [[nodiscard]] score_total total() const { return judge(*song_, reader_.track(), how_); }
    [[nodiscard]] suspicion look_back() const;
    [[nodiscard]] const pitch_track& track() const { return reader_.track(); }
    [[nodiscard]] const judge_options& how() const { return how_; }
    [[nodiscard]] const ultrastar_song& song() const { return *song_; }

private:
    void probe_backing();
    std::shared_ptr<const ultrastar_song> song_;
    judge_options how_;
    std::shared_ptr<const rendition> backing_;
    voice_reader reader_;
    std::vector<bool> told_;
    bool offset_fixed_ = false;
    std::int64_t probed_at_ = INT64_MIN;
    std::vector<double> probes_;
};

}  // namespace ovation::songs
